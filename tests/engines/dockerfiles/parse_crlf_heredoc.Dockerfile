FROM corpus/base
COPY <<EOF /o
line
EOF
