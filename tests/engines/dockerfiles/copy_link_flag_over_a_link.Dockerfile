FROM corpus/base
RUN mkdir -p /usr/lib && ln -s usr/lib /lib
COPY --link a.txt /lib/a
