FROM corpus/base AS a
RUN echo 1 > /1
FROM corpus/base AS a
RUN echo 2 > /2
FROM a
RUN echo 3 > /3
