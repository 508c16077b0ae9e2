FROM corpus/base
ENTRYPOINT exec "top"   -b
CMD echo $HOME && ls
