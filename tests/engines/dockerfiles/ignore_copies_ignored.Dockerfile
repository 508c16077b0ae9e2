FROM corpus/base
COPY secret.env /
