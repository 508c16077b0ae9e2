FROM corpus/base
USER app
COPY a.txt /home/app/a
COPY src /home/app/made/
