FROM corpus/base
ADD --unpack=false t.tar /t/
