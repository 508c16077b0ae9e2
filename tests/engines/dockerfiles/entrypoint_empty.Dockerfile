FROM corpus/base
ENTRYPOINT ["/bin/sh"]
ENTRYPOINT []
CMD []
