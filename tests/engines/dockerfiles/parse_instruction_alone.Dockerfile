FROM corpus/base
RUN
