FROM corpus/base
RUN <<EOF
# a comment of the script

echo "a \
b" > /o
  # another
EOF
COPY a.txt /a
