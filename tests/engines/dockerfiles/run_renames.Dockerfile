FROM corpus/base
RUN mkdir -p /old/sub && echo f > /old/f && echo g > /old/sub/g && echo h > /h
RUN mv /old /new && mv /h /i && mv /new/f /new/sub/f
