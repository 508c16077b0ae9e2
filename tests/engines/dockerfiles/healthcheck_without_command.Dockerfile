FROM corpus/base
HEALTHCHECK --interval=5s
