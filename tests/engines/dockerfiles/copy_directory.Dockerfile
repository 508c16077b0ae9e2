FROM corpus/base
COPY src /app
COPY src /app2/
COPY src/ sub
COPY src/. /app3
