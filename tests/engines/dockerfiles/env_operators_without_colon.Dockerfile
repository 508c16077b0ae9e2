FROM corpus/base
ENV EMPTY=
ENV B=${Q-def} C=${Q+alt} D=${EMPTY-def} E=${EMPTY+alt}
ARG V=1.2.3
ENV M=${V%.*} N=${V%%.*} O=${V#*.} P=${V##*.} Q=${V/./-} R=${V//./-} S=${V%none} T=${V/2/} U=${V#1.2.3}
ENV W=${V%.?} X=${V#?.} Y=${V//[0-9]/x}
