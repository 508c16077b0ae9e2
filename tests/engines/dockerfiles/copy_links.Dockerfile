FROM corpus/base
COPY links /l/
COPY links/file /o
COPY links/dir /d
COPY links/dir/ /p
COPY links/dir/x.py /q
COPY links/absolute /r
