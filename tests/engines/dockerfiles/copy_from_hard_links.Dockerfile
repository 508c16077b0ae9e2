FROM corpus/base AS s
RUN mkdir /d && echo x > /d/one && ln /d/one /d/two
FROM corpus/base
COPY --from=s /d /d
