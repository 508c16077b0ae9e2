FROM corpus/base
ENV A=1 EMPTY=
ENV B=${A:-x} C=${Q:-def} D=${A:+alt} E=${Q:+alt} F=$A/$Q G=\$A
ENV H=${EMPTY:-e} I=${EMPTY:+e} J=$Ab K=${A}b L=$A-b
ENV A=1
ENV B=${Q:-${A}} C=${Q:-a$A} D=${Q:-${R:-deep}} E="${Q:-two words}" F=${Q:-"q w"}
ENV PATH=/opt/bin:$PATH
ENV A=1
ENV A=2 B=$A
ENV B=$B$B
