FROM corpus/base
RUN echo 0 > /0
FROM corpus/base
RUN echo 1 > /1
