FROM corpus/base
RUN head -c 200000 /dev/zero > /big && echo keep > /keep
RUN rm /big
RUN echo x >> /keep
RUN chown -R 1000:1001 /keep
