FROM corpus/base AS build
WORKDIR /site
COPY src/ ./src/
RUN <<EOF
set -e
mkdir public
for f in $(find src -name '*.py' | sort); do
  cat "$f" >> public/index.html
done
EOF

FROM corpus/base
ARG PORT=8080
ENV PORT=${PORT}
LABEL org.opencontainers.image.title="site"
COPY --from=build --chown=app:app /site/public /srv/www/
EXPOSE $PORT
USER app
HEALTHCHECK --interval=30s CMD wget -qO- "http://localhost:$PORT/" || exit 1
ENTRYPOINT ["/bin/busybox"]
CMD ["httpd", "-f", "-p", "8080", "-h", "/srv/www"]
