FROM corpus/base
RUN echo x > /f && mkdir /d && echo y > /d/y
RUN chmod 700 /f /d
RUN chown -R app /d
RUN chmod 755 /tmp
RUN touch /etc/passwd
