FROM corpus/base
COPY --exclude=/x.py src /a/
COPY --exclude=src/x.py src /b/
COPY --exclude=** --exclude=!x.py src /c
