FROM corpus/base
WORKDIR /w
COPY <<EOF .
x
EOF
COPY <<EOF named
y
EOF
