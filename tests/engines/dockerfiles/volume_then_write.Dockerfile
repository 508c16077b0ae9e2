FROM corpus/base
RUN mkdir /data && echo before > /data/before
VOLUME /data
RUN echo x > /data/after
COPY a.txt /data/copied
