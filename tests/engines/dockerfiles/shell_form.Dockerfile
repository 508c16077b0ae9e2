FROM corpus/base
SHELL ["/bin/busybox", "sh", "-c"]
RUN echo "$0" > /o
CMD echo by shell
ENTRYPOINT exec top -b
HEALTHCHECK CMD check
