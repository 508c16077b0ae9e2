FROM corpus/base
RUN mkdir -p /usr/lib && ln -s usr/lib /lib
WORKDIR /lib/x
RUN pwd > o
