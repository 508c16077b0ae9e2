FROM corpus/base
RUN echo file > /f
COPY a.txt /f/a
