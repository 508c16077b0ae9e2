FROM corpus/other
RUN cat /usr/share/note > /o
