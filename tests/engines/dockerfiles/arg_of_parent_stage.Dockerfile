FROM corpus/base AS one
ARG A=1
ENV E=$A
FROM one
RUN echo "[$A] [$E]" > /o
