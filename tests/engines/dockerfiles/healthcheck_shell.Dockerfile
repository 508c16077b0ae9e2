FROM corpus/base
HEALTHCHECK --interval=5m --timeout=3s --start-period=1m30s --retries=4 CMD wget -q http://localhost/ || exit 1
HEALTHCHECK CMD one
HEALTHCHECK --retries=2 CMD two
