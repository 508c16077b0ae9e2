FROM corpus/base AS Build
FROM Build
