FROM corpus/base AS Builder
RUN echo x > /o
FROM builder
RUN echo y > /p
