FROM corpus/base
ADD capable.tar /
