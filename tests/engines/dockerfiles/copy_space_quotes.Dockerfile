FROM corpus/base
COPY "with space.txt" /q
