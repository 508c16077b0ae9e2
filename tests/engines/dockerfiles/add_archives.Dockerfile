FROM corpus/base
ADD t.tar.gz /gz/
ADD t.tar.bz2 /bz2
ADD t.tar /plain/
COPY t.tar.gz /copied/
