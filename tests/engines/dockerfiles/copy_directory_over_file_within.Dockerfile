FROM corpus/base
RUN mkdir /app && echo file > /app/sub
COPY src /app
