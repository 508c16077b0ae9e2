FROM corpus/base
SHELL ["/bin/sh", "-ec"]
RUN <<EOF
echo $- > /o
EOF
