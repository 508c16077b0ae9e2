FROM corpus/base
COPY --chown=1000:2000 src /s/t/
COPY --chown=1000 a.txt /a
COPY --chown=0:7 a.txt /new/place/a
