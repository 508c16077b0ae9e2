FROM corpus/base
ADD --chown=1000:1001 t.tar /owned/
ADD --chmod=700 a.txt /a
