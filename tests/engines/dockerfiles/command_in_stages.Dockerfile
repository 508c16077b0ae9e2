FROM corpus/other AS one
CMD ["one"]
FROM one
ENTRYPOINT ["two"]
