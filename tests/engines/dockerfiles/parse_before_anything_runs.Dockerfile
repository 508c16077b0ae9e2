FROM corpus/base
RUN exit 3
LABEL a=b c
