FROM corpus/base
CMD ['a', 'b']
