FROM corpus/base
ENV D=/opt F=a.txt
ARG U=1000
COPY --chown=$U:${U} $F ${D}/$F
ADD --chown=0:0 ${F} $D/z
