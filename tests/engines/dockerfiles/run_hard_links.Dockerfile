FROM corpus/base
RUN echo body > /one && ln /one /two && mkdir /d && ln /one /d/three && ln -s one /four
RUN chmod 600 /two
