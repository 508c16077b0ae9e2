FROM corpus/other
ENTRYPOINT ["/bin/echo"]
