FROM corpus/base
ENV A=1
CMD ["echo", "$A"]
CMD ["a\tb", "\u00fc", "c\"d", "<&>"]
