FROM corpus/base
ARG A=arg
ENV A=env
RUN echo $A > /o
ENV B=1
ARG B=arg
RUN echo $B > /p
ARG A=1 B=2 C="three words" D=$A
RUN echo $A$B$C$D > /o
ARG A=1
ARG A=2
RUN echo $A > /o
ARG A
RUN echo $A > /p
