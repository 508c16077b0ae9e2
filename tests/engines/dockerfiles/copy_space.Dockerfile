FROM corpus/base
COPY ["with space.txt", "/o p/"]
COPY ünï.txt /ü
COPY [[]x].txt /brackets
COPY .hidden /
