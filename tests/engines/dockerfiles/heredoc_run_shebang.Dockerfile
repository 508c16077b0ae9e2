FROM corpus/base
RUN <<EOF
#!/bin/busybox ash
set -- a b
echo "$2 $1" > /o
EOF
