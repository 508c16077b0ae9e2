FROM corpus/base AS one
ONBUILD RUN echo x > /o
ONBUILD ENV A=1
FROM one
RUN echo $A > /p
