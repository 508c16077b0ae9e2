FROM corpus/base
ARG WHERE=/cache
RUN --mount=type=cache,id=corpus-var,target=${WHERE}/v echo x > $WHERE/v/f && ls $WHERE > /o
RUN --network=none --mount=type=tmpfs,target=/t --mount=target=/c,ro ls /c/src > /o && touch /t/x
