FROM corpus/base
RUN echo before > /o; exit 3
