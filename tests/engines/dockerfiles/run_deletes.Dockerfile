FROM corpus/base
RUN mkdir -p /d/e && echo 1 > /d/1 && echo 2 > /d/e/2 && echo 3 > /three
RUN rm /three /d/e/2
RUN rm -r /d
RUN echo x > /tmp/f
RUN rm /tmp/f
RUN echo x > /o && rm /o
