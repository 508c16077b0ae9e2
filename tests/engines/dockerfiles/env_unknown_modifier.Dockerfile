FROM corpus/base
ENV A=${PATH!x}
