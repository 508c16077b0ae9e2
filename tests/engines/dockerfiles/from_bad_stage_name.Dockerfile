FROM corpus/base AS 1st
