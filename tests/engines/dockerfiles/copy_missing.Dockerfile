FROM corpus/base
COPY nope /x
