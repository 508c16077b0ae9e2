FROM corpus/base
RUN --mount=type=tmpfs,target=/etc ls -a /etc > /o
