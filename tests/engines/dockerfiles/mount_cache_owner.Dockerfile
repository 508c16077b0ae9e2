FROM corpus/base
USER app
RUN --mount=type=cache,id=corpus-own,target=/c,uid=1000,gid=1001,mode=0700 stat -c "%a %u %g" /c > /home/app/o; touch /c/f
