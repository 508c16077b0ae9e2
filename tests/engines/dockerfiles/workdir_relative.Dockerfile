FROM corpus/base
WORKDIR /a
WORKDIR b
WORKDIR ../c
ENV D=/env
WORKDIR $D/x
RUN pwd > o
WORKDIR "/with space"
RUN pwd > o
