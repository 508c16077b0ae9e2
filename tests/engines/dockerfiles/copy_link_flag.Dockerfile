FROM corpus/base
COPY --link a.txt /a
COPY --link src /opt/src/
COPY --link --chown=5:6 --chmod=600 a.txt /etc/deep/b
