FROM corpus/base
RUN --mount=type=tmpfs,target=/scratch echo x > /scratch/f && cp /scratch/f /o
RUN --mount=type=tmpfs,target=/tmp,size=1m echo x > /tmp/f; stat -c %a /tmp > /p
