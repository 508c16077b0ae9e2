FROM corpus/other
ARG FROM_OTHER=arg
RUN echo $FROM_OTHER > /o
