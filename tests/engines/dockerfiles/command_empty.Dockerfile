FROM corpus/base
CMD
