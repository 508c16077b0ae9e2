FROM corpus/base
ENV A=1
RUN echo '$A' "$A" \$A $$A > /dev/null; echo '$A' "$A" \$A > /o
