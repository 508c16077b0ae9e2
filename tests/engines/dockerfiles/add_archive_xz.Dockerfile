FROM corpus/base
ADD t.tar.xz /xz/
