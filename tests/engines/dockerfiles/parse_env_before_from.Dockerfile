ENV A=1
FROM corpus/base
