FROM corpus/base
COPY a.txt /deep/er/new.txt
COPY a.txt /tmp
COPY a.txt relative
COPY a.txt /tmp/../x/./y//z
