FROM corpus/base
COPY a.txt /a # really
