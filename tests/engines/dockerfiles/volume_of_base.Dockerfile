FROM corpus/other
RUN echo x > /var/lib/other/f; ls /var/lib/other > /o
