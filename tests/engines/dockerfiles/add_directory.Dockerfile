FROM corpus/base
ADD src /s/
ADD a.txt b.txt /t/
