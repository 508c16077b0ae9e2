FROM corpus/base
WORKDIR /w
RUN --mount=type=secret,id=token,target=conf/token cat /w/conf/token conf/token > o
