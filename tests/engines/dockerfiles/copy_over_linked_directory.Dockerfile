FROM corpus/base
RUN mkdir -p /usr/lib && ln -s usr/lib /lib
COPY a.txt /lib/
COPY src /lib/
RUN mkdir -p /r && ln -s r /src
COPY src /src
RUN echo old > /target && ln -s target /l
COPY a.txt /l
