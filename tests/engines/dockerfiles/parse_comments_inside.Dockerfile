FROM corpus/base
RUN echo a > /o \
  # a comment
  && echo b >> /o \
# at the beginning

  && echo c >> /o
ENV A=1 \
  # between
  B=2
RUN echo a > /o \

  && echo c >> /o
