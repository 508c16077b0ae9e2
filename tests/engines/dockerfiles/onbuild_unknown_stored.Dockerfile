FROM corpus/base
ONBUILD FOO x
