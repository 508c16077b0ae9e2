FROM corpus/base AS s
FROM corpus/base
COPY --from=s /nothing /o
