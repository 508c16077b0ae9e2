# check=skip=all
FROM corpus/base
RUN echo x > /o
FrOm corpus/base
rUn echo x > /o
CoPy a.txt /a
Label A=b
