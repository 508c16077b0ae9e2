FROM corpus/base
COPY hard /h/
COPY hard/one hard/two /i/
