FROM corpus/base
COPY a.txt app.sh src /d/
COPY /a.txt /src/x.py /d/
COPY emptydir /x
COPY emptydir /y/z/
