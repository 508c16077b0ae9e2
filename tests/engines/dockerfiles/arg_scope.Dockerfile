ARG V=1
ARG W=w$V
FROM corpus/base AS x
ARG V
ARG W
ARG X=x$V
RUN echo "$V $W $X" > /o
FROM corpus/base
RUN echo "[$V]" > /o
COPY --from=x /o /p
