FROM corpus/base
COPY src /src
RUN --mount=target=/ctx ls -R /ctx/src > /o
