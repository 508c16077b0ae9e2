FROM corpus/base
HEALTHCHECK CMD ["/bin/true", "x"]
