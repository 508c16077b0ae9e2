FROM corpus/base
ENV NAME=value
COPY <<EOF /etc/app.conf
name = $NAME
other = ${NAME:-none} ${MISSING:-none}
quote "x" 'y' \$NAME
EOF
ENV NAME=value
COPY <<"EOF" /etc/quoted.conf
name = $NAME \$NAME
EOF
COPY <<-EOF /o
	indented
		twice
  blanks stay
	EOF
COPY <<EOF /empty
EOF
ADD <<EOF /added
added
EOF
