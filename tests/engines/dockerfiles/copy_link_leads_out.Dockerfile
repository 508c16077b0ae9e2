FROM corpus/base
COPY links/out /o
