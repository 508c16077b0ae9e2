ARG TAG=wrong
FROM corpus/base
ARG TAG
ARG GIVEN=default
ARG ONLY
ARG NOT
ENV SEEN=$TAG-$GIVEN-$ONLY-${NOT:-unset}
RUN echo "$TAG $GIVEN $ONLY ${NOT:-unset}" > /o
