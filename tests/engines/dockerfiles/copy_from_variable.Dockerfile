ARG WHICH=made
FROM corpus/base AS made
RUN echo x > /o
FROM corpus/base
ARG WHICH
COPY --from=$WHICH /o /o
