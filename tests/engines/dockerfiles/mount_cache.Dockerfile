FROM corpus/base
RUN --mount=type=cache,target=/root/.cache echo kept > /root/.cache/f
RUN --mount=type=cache,target=/root/.cache cat /root/.cache/f > /o
RUN --mount=type=cache,target=/x1 echo 1 > /x1/f
RUN --mount=type=cache,id=other,target=/x1 ls /x1 > /o
RUN --mount=type=cache,id=/x1,target=/y1 ls /y1 > /p
