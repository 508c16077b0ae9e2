FROM corpus/base
HEALTHCHECK CMD []
