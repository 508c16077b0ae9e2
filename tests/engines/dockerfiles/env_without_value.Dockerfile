FROM corpus/base
ENV A=1 B
