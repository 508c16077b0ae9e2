FROM corpus/base
RUN mkdir -m 777 /o
USER 4242:4343
RUN echo $HOME > /o/home; id > /o/id
USER 4242
RUN echo $HOME > /o/home; id > /o/id
