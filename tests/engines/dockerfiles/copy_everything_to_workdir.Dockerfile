FROM corpus/base
WORKDIR /w
COPY . .
