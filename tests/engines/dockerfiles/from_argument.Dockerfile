ARG BASE=corpus/base
ARG SUFFIX
FROM ${BASE}${SUFFIX:+-$SUFFIX}
RUN echo x > /o
