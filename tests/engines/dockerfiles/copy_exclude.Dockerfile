FROM corpus/base
COPY --exclude=*.txt --exclude=sub/** src /a/
COPY --exclude=**/*.py src /b/
COPY --exclude=x.py src /c/
COPY --exclude=sub --exclude=!sub/deep src /a/
