FROM corpus/base
ONBUILD RUN echo x > /o
ONBUILD COPY --chown=1000 a.txt /a
onbuild env A=$B
