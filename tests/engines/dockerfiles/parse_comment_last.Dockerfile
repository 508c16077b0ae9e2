FROM corpus/base
RUN echo a > /o && \
  # the end
