FROM corpus/base
RUN echo "$HTTP_PROXY" > /o
ARG HTTP_PROXY
RUN echo "$HTTP_PROXY" > /p
