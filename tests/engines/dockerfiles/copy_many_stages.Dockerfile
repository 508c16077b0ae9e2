FROM corpus/base AS a
RUN echo a > /f
FROM corpus/base AS b
COPY --from=a /f /g
RUN echo b >> /g
FROM a AS c
COPY --from=b /g /h
FROM scratch
COPY --from=c /f /h /out/
COPY --from=1 /g /
