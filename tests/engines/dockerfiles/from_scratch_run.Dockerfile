FROM scratch
COPY --from=corpus/base /bin /bin
ENV A=1
RUN echo "$PATH $A" > /o
