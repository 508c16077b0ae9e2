FROM corpus/base AS unused
RUN exit 1
FROM corpus/base
RUN echo x > /o
