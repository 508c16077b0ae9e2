FROM corpus/base
RUN echo "late:x:1500:1500::/home/late:/bin/sh" >> /etc/passwd && mkdir -m 777 /home/late
USER late
RUN echo $HOME > /home/late/home; id > /home/late/id
