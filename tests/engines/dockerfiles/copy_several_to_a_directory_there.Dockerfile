FROM corpus/base
RUN mkdir /d
COPY a.txt app.sh /d
