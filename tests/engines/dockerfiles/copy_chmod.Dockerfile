FROM corpus/base
COPY --chmod=755 a.txt /a
COPY --chmod=0640 src /s
COPY --chmod=4711 a.txt /suid
COPY --chmod=700 src/x.py /made/for/it/
ARG MODE=750
COPY --chmod=$MODE a.txt /a
