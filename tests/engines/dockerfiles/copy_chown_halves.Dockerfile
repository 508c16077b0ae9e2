FROM corpus/base
COPY --chown=app: a.txt /a
COPY --chown=55:nogroup a.txt /b
COPY --chown=app:nogroup a.txt /c
COPY --chown=root:nogroup a.txt /d
USER app:nogroup
WORKDIR /e
USER :9
WORKDIR /f
