FROM corpus/base
COPY . /app/
