FROM corpus/base
RUN mkdir /a && echo x > /a/x && echo file > /b && ln -s b /c
RUN rm -r /a && echo file > /a && rm /b && mkdir /b && rm /c && mkdir /c && echo y > /c/y
RUN rm -r /b && ln -s a /b
