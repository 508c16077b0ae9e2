FROM corpus/base
COPY a.txt
