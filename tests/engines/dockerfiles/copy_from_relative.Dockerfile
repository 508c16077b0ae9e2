FROM corpus/base AS s
WORKDIR /w
RUN echo x > f
FROM corpus/base
WORKDIR /v
COPY --from=s w/f .
