FROM corpus/base
RUN rm /etc/group && rm -r /home
