FROM corpus/base
RUN --mount=type=cache,target=/c,id=corpus-hd --mount=type=bind,target=/b <<EOF
set -e
ls /b/src > /o
touch /c/x
EOF
