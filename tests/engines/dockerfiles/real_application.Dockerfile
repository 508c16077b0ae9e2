# the usual shape of a service in an interpreted language
ARG BASE=corpus/base
FROM ${BASE} AS deps
WORKDIR /app
COPY src/x.py ./requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip,id=corpus-pip \
    mkdir -p .venv/bin && cp requirements.txt .venv/installed && printf '#!/bin/sh\n' > .venv/bin/run && chmod +x .venv/bin/run

FROM ${BASE} AS runtime
RUN addgroup -S svc 2>/dev/null || echo "svc:x:900:" >> /etc/group; \
    echo "svc:x:900:900::/app:/bin/sh" >> /etc/passwd
WORKDIR /app
COPY --from=deps --chown=svc:svc /app/.venv .venv
COPY --chown=svc:svc src .
ENV PATH="/app/.venv/bin:$PATH" \
    PYTHONUNBUFFERED=1
USER svc
RUN id > /app/.venv/who && run
STOPSIGNAL SIGINT
CMD ["run", "--serve"]
