# escape=\
FROM corpus/base
ENV A=1 \
    B=2
RUN echo x > /o
CMD ["a"]
