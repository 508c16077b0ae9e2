FROM corpus/base AS Build
RUN echo x > /o
FROM corpus/base AS final
COPY --from=build /o /o
COPY --from=BUILD /o /p
