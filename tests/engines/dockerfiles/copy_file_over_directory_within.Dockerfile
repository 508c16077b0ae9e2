FROM corpus/base
RUN mkdir -p /app/x.py/there
COPY src /app
