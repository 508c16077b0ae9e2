FROM scratch
WORKDIR /w
COPY src .
