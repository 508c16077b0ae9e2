FROM corpus/base
USER stranger
