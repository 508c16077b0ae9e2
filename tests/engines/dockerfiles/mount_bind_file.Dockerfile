FROM corpus/base
WORKDIR /w
RUN --mount=type=bind,source=a.txt,target=a.txt cat a.txt > o
