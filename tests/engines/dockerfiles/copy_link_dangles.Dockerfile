FROM corpus/base
COPY links/nowhere /o
