FROM corpus/other
WORKDIR sub
RUN pwd > o
