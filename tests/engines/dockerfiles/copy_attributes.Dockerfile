FROM corpus/base
COPY capable /usr/bin/
