# escape=\

# comment
FROM corpus/base AS a
ENV A=1 \
    # inner
    B=2

RUN echo a && \
    echo b > /o
LABEL x="y" z=w \
   more="a \
 b"
COPY a.txt b.txt /d/
CMD ["a"]
FROM a
USER app
WORKDIR /w
