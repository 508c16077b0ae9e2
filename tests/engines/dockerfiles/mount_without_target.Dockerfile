FROM corpus/base
RUN --mount=type=cache echo x > /o
