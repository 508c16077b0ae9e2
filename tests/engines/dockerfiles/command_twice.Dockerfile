FROM corpus/base
CMD ["one"]
CMD two
