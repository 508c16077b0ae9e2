FROM corpus/base
ARG TARGETSTAGE
RUN echo "[$TARGETSTAGE]" > /o
