FROM corpus/base
RUN mkdir -p /usr/lib && ln -s usr/lib /lib && echo x > /lib/so
RUN echo y > /lib/so2 && rm /lib/so
