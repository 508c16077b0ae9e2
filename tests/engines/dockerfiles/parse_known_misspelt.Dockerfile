FROM corpus/base
RNU echo x > /o
