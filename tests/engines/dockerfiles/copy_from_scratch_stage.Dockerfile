FROM scratch AS files
COPY a.txt /f/a
FROM corpus/base
COPY --from=files / /all/
