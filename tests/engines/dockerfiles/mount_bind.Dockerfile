FROM corpus/base
RUN --mount=target=/ctx cp /ctx/src/x.py /o && ls /ctx/src > /p
RUN --mount=type=bind,rw,source=src,target=/s echo gone > /s/new && ls /s > /o
RUN --mount=type=bind,source=src,target=/s echo no > /s/new 2>/dev/null || echo read-only > /p
RUN mkdir /d && echo below > /d/below
RUN --mount=source=src,target=/d ls /d > /o
