FROM docker.io/corpus/base:latest AS x
COPY --from=docker.io/corpus/other:latest /usr/share/note /n
RUN --mount=from=corpus/other:latest,target=/m cp /m/usr/share/note /o
