FROM corpus/base
WORKDIR /src
RUN --mount=target=.,rw --mount=type=cache,target=/src/node_modules,id=corpus-cib touch node_modules/x && ls > /o
