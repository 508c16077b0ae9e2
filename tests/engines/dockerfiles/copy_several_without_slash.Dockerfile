FROM corpus/base
COPY a.txt app.sh /x
