FROM corpus/base
WORKDIR /tmp
RUN pwd > /o
WORKDIR /new
WORKDIR /new
