FROM corpus/base
