FROM corpus/base
ADD notatar.tar /
ADD a.txt.gz /
