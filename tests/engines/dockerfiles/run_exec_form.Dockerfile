FROM corpus/base
RUN ["/bin/sh", "-c", "echo $0 > /o"]
RUN ["mkdir", "/m n"]
