FROM corpus/base
WORKDIR /code/
COPY src/ .
WORKDIR sub/
RUN pwd > o
