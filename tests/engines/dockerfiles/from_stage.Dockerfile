FROM corpus/base AS one
ENV A=1
RUN echo x > /o
FROM one AS two
RUN echo y > /p
FROM two
RUN echo $A > /q
