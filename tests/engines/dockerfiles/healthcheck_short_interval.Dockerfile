FROM corpus/base
HEALTHCHECK --interval=1us CMD true
