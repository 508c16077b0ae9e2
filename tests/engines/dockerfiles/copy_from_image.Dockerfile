FROM corpus/base
COPY --from=corpus/other /usr/share/note /note
COPY --from=corpus/other /usr/share /share
