FROM corpus/base
RUN echo file > /src
COPY src /src
