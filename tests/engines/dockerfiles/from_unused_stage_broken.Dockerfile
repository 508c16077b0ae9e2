FROM corpus/base AS unused
HEALTHCHECK --interval=x CMD y
FROM corpus/base
