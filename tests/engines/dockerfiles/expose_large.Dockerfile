FROM corpus/base
EXPOSE 70000
