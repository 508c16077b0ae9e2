FROM corpus/base AS s
RUN mkdir -p /usr/lib && echo x > /usr/lib/so && ln -s usr/lib /lib && ln -s so /usr/lib/so.1
FROM corpus/base
COPY --from=s /lib/so /o
COPY --from=s /usr/lib/so.1 /p
COPY --from=s /usr/lib /q
