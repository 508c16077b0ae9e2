FROM corpus/base
RUN mkdir /d
COPY a.txt /d
COPY --from=corpus/base /etc/passwd /d
RUN mkdir -m 711 /e && mkdir -m 700 /e/sub && echo old > /e/x.py
COPY --chown=1000:1000 src /e
