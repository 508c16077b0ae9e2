FROM corpus/base
USER stranger
RUN id
