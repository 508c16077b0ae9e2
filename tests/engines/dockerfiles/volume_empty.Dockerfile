FROM corpus/base
VOLUME [""]
