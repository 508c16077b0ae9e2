FROM corpus/other
LABEL a=b
