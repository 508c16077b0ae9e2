FROM corpus/base
RUN mkdir -p /d/sub /e/sub /f/g/h && echo a > /d/a && echo b > /d/sub/b && echo a > /e/a && echo a > /f/g/h/a && echo k > /f/keep \
 && mkdir /same && echo same > /same/same && echo old > /same/old && touch -d @1000000000 /same/same
RUN rm -r /d && mkdir /d && echo c > /d/c
RUN rm -r /e && mkdir -m 700 /e
RUN rm -r /f/g && mkdir -p /f/g/h && echo b > /f/g/h/b
RUN rm -r /same && mkdir /same && echo same > /same/same && touch -d @1000000000 /same/same
