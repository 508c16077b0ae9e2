FROM corpus/base AS s
RUN mkdir /l && touch /l/a.so /l/b.so /l/c.txt
FROM corpus/base
COPY --from=s /l/*.so /usr/lib/
