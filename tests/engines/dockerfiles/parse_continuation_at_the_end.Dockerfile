FROM corpus/base
RUN echo a > /o \