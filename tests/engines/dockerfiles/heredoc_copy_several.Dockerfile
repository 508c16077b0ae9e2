FROM corpus/base
COPY <<one.txt <<'two.txt' a.txt /d/
1 $HOME
one.txt
2 $HOME
two.txt
