FROM corpus/base
RUN --mount=type=ssh --mount=type=ssh,target=/b,id=q echo "$SSH_AUTH_SOCK" > /o
RUN --mount=type=ssh,target=/b --mount=type=ssh,id=q echo "$SSH_AUTH_SOCK" > /o
ENV SSH_AUTH_SOCK=/mine
RUN --mount=type=ssh echo "$SSH_AUTH_SOCK" > /o
RUN ls -a /run /b > /p || true
