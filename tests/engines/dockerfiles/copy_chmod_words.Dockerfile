FROM corpus/base
COPY --chmod=u+x a.txt /a
COPY --chmod=go-rwx,u=rw app.sh /b
COPY --chmod=a=rX src /s
COPY --chmod=+x b.txt /c
