FROM corpus/base
COPY *.txt /t/
COPY ?.txt /u/
COPY src/*.py /v/
COPY src/*/*.py /w/
COPY [ab].txt /x/
COPY [^a].txt /y/
COPY s* /x/
COPY a*.txt /one
