FROM corpus/base
LABEL a=1 b="two words" "c.d"=3 'e f'='g $a h'
LABEL long="x\
y" \
  more=1
LABEL empty= again=""
LABEL a=2
LABEL key value words   here
ARG VERSION=1.2
ENV NAME=n
LABEL version=$VERSION name="${NAME}-${VERSION}" literal='$NAME' escaped=\$NAME
