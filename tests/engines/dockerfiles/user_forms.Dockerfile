FROM corpus/base
RUN mkdir -m 777 /o
USER app:2000
RUN id > /o/a
USER 1000:extra
RUN id > /o/b
USER :2000
RUN id > /o/c
USER 0
RUN id > /o/d
USER "app"
RUN id > /o/e
USER root:app
RUN id > /o/f; echo $HOME >> /o/f
