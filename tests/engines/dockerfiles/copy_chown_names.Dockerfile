FROM corpus/base
COPY --chown=app:app a.txt /a
COPY --chown=app src /s
COPY --chown=:extra a.txt /g
COPY --chown=app:5 a.txt /h
COPY --chown=7:extra a.txt /i
