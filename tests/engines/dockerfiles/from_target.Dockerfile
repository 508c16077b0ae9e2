FROM corpus/base AS first
RUN echo 1 > /1
FROM corpus/base AS Wanted
RUN echo 2 > /2
FROM corpus/base
RUN echo 3 > /3
