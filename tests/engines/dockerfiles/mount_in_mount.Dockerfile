FROM corpus/base
RUN --mount=type=cache,target=/a,id=corpus-n1 --mount=type=cache,target=/a/b,id=corpus-n2 --mount=type=tmpfs,target=/a/b/c \
  echo 1 > /a/1; echo 2 > /a/b/2; echo 3 > /a/b/c/3; find /a -type f | sort > /o
RUN --mount=type=cache,target=/a,id=corpus-n1 find /a | sort > /p
