FROM corpus/base
SHELL /bin/sh -c
