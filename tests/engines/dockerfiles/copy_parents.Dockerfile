FROM corpus/base
COPY --parents src/sub/y.py /a/
COPY --parents src/sub/deep /b/
COPY --parents ./src/*.py /c/
COPY --parents src/./sub/y.py /d/
COPY --parents src/**/*.py /e/
COPY --parents a.txt src/x.py modes /a
