FROM corpus/base
RUN echo "1.2.3.4 x" >> /etc/hosts; echo y > /etc/resolv.conf; true
RUN echo x > /dev/newfile; mkdir /dev/newdir; echo x > /dev/shm/f; true
