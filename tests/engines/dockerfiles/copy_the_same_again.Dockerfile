FROM corpus/base
COPY a.txt /a
COPY a.txt /a
