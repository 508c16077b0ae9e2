FROM corpus/base
ENV DEBIAN_FRONTEND=noninteractive
RUN --mount=type=cache,target=/var/cache/apt,id=corpus-apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,id=corpus-lists,sharing=locked \
    mkdir -p /var/lib/apt/lists /usr/lib/thing && echo index > /var/lib/apt/lists/x \
    # the package itself
    && echo program > /usr/lib/thing/run && chmod 755 /usr/lib/thing/run \
    && ln -s ../lib/thing/run /usr/bin/thing 2>/dev/null || mkdir -p /usr/bin && ln -sf ../lib/thing/run /usr/bin/thing
