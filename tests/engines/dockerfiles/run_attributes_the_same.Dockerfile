FROM corpus/base
RUN chown root:root /etc/passwd && chmod 644 /etc/group && chmod 1777 /tmp && chown -R 1000:1001 /home/app
RUN echo x > /f && chmod 644 /f && mkdir /d && echo y > /d/y
RUN mv /f /g && mv /g /f; chmod 755 /d; cp -p /d/y /z && rm /d/y && mv /z /d/y
