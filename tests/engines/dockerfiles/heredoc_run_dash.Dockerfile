FROM corpus/base
RUN <<-EOF
	if true; then
		echo tab > /o
	fi
	EOF
RUN cat <<one > /1 && cat <<two > /2 && cat <<'three' > /3
first
one
second
two
$third
three
