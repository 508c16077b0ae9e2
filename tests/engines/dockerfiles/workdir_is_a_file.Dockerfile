FROM corpus/base
RUN echo x > /f
WORKDIR /f
