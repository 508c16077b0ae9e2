FROM corpus/base
RUN --mount=type=secret,id=token cat /run/secrets/token > /o && stat -c "%a %u %g" /run/secrets/token >> /o
RUN --mount=type=secret,id=token,target=/s/t,mode=0440,uid=1000,gid=2000 stat -c "%a %u %g" /s/t > /p
RUN --mount=type=secret,id=with.dots,env=TOKEN echo "$TOKEN" > /q
RUN test ! -e /run/secrets/token && test ! -e /s/t
