FROM corpus/base
ENV =x
