FROM corpus/base
ADD --from=corpus/other /usr/share/note /x
