FROM corpus/base
COPY *.env src/*.py /e/
