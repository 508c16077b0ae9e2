FROM corpus/base
COPY --link --chown=root a.txt /a
