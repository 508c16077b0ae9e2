FROM corpus/base
CMD ["a"]
ENTRYPOINT ["/bin/echo"]
