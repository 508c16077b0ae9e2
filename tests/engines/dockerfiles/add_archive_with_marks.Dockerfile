FROM corpus/base
RUN mkdir /d && touch /d/a /d/b
ADD marks.tar /
