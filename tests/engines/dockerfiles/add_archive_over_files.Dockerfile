FROM corpus/base
RUN mkdir -p /usr/in && ln -s usr/in /in && echo old > /usr/in/old && mkdir /usr/in/t.txt
ADD t.tar /
