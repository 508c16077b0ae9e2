FROM corpus/base
RUN <<EOF
echo x > /o
