FROM --platform=linux/amd64 corpus/base
RUN echo x > /o
