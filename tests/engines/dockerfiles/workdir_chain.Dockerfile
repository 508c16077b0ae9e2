FROM corpus/base
WORKDIR a
WORKDIR b/
WORKDIR ./c
WORKDIR ..
ENV X=deep Y=er
WORKDIR ${X}/$Y
RUN pwd > o
WORKDIR /
WORKDIR rel
RUN pwd > o
