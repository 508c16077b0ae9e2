FROM corpus/base
RUN true
RUN echo x > /o
