FROM corpus/base
RUN echo "a << b" > /o; echo $((1<<3)) >> /o
