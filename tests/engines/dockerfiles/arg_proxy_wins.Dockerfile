FROM corpus/base
ENV no_proxy=mine HTTP_PROXY=mine
RUN env | grep -i proxy | sort > /o
