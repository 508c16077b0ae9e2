FROM corpus/base
COPY --from=later /o /o
FROM corpus/base AS later
RUN echo x > /o
