FROM corpus/base
VOLUME ["/a", "/b"]
VOLUME /c /d
ENV V=/v
VOLUME $V/w
VOLUME /c
