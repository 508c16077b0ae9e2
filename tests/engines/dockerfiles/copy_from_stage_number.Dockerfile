FROM corpus/base
RUN echo 0 > /z
FROM corpus/base
COPY --from=0 /z /z
