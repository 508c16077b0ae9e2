FROM corpus/base
ENV D=/opt F=a.txt
COPY ["$F", "b.txt", "$D/"]
