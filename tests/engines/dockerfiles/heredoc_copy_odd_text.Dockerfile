FROM corpus/base
COPY <<EOF /o
%s %d 100% ${A:+x}${B-"y"} $ $$ ${HOME} $(date)
EOF
