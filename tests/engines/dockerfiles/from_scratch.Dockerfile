FROM scratch
COPY a.txt /
ENV A=1
CMD ["/a.txt"]
