FROM corpus/base
COPY --chmod=0755 --chown=app:extra <<EOF /usr/bin/hello
#!/bin/sh
echo hello
EOF
RUN hello > /o
