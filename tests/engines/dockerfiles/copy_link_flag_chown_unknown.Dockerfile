FROM corpus/base
COPY --link --chown=app a.txt /a
