FROM corpus/base
RUN echo a > /o \  
 && echo b >> /o \	
 && echo "c \
d" >> /o
ENV AB=x\
y
RUN ec\
ho z > /o
EN\
V C=1
