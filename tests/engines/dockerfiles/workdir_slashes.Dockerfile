FROM corpus/base
WORKDIR /a//b/../c/
RUN pwd > o
