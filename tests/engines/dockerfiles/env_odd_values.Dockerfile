FROM corpus/base
ENV A=a=b=c B== C="" D=' ' E=$ F=$$ G=a$ H=# I=x#y
RUN env | grep '^[A-I]=' | sort > /o
ENV GREETING="Grüße, 世界" EMOJI=🐳
RUN echo "$GREETING $EMOJI" > /o
