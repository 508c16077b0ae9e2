FROM corpus/base
ARG V=given
RUN <<'EOF' cat > /o
$V ${V} $(echo run) \$V
EOF
ARG V=given
RUN cat <<EOF > /o
$V ${V} $(echo run) \$V "q" 'q'
EOF
