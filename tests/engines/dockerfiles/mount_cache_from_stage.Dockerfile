FROM corpus/base AS seed
RUN mkdir /seed && echo seed > /seed/f && chown 5:6 /seed
FROM corpus/base
RUN --mount=type=cache,id=corpus-seeded,target=/c,from=seed,source=/seed cat /c/f > /o; stat -c "%u %g" /c >> /o
