FROM corpus/base AS one
RUN mkdir -m 750 /d && echo f > /d/f
FROM corpus/base
WORKDIR /w
COPY --link --from=one /d ./e/
