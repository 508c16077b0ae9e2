FROM corpus/base
COPY . /x/
