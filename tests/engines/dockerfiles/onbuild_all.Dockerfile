FROM corpus/base AS p
ONBUILD ADD t.tar /add/
ONBUILD ARG OB=1
ONBUILD CMD ["ob"]
ONBUILD COPY --chown=app --from=corpus/other /usr/share/note /n
ONBUILD ENTRYPOINT exec ob
ONBUILD ENV X=$OB
ONBUILD EXPOSE 99
ONBUILD HEALTHCHECK --retries=2 CMD ob
ONBUILD LABEL ob="a b"
ONBUILD RUN echo $OB $X > /r
ONBUILD SHELL ["/bin/busybox", "sh", "-c"]
ONBUILD STOPSIGNAL 2
ONBUILD USER app
ONBUILD VOLUME /v
ONBUILD WORKDIR /ww
FROM p
RUN pwd > ~/o; echo $OB >> ~/o
FROM p
