FROM corpus/base
ADD --link t.tar.gz /t/
