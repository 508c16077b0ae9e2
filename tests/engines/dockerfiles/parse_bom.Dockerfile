FROM corpus/base
RUN echo x > /o
