FROM corpus/base
COPY *.nothing /x/
COPY a.txt *.nothing /x/
