FROM corpus/base
COPY --chown=stranger a.txt /a
