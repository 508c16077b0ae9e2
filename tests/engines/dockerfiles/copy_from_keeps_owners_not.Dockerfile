FROM corpus/base AS s
RUN mkdir -p /d/e && echo x > /d/f && chown -R app:extra /d && chmod 2750 /d/e && chmod 4700 /d/f
FROM corpus/base
COPY --from=s /d /d
COPY --from=s --chown=5 /d/f /f
