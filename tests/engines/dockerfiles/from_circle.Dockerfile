FROM corpus/base AS u
COPY --from=u /a /b
FROM corpus/base
