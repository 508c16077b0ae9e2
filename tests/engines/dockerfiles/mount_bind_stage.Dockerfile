FROM corpus/base AS made
RUN mkdir -p /out && echo made > /out/f
FROM corpus/base
RUN --mount=type=bind,from=made,source=/out,target=/mnt cp /mnt/f /f
RUN --mount=from=made,target=/m cat /m/out/f /m/etc/group > /g
