FROM corpus/base
RUN --mount=type=magic,target=/x echo x > /o
