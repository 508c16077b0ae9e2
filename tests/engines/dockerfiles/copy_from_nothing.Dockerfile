FROM corpus/base
COPY --from= a.txt /a
