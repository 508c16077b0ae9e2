FROM corpus/base
RUN <<EOF
mkdir /made
echo one > /made/one
echo "$HOME has $(ls /made)" > /made/two
EOF
RUN <<EOF
false
echo reached > /o
EOF
RUN <<EOF /bin/sh
echo by standard input > /o
EOF
