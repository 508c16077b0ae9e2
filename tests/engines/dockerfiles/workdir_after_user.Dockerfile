FROM corpus/base
USER app
WORKDIR /w/x
RUN pwd > ~/o
