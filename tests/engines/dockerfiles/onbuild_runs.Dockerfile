FROM corpus/parent
RUN ls / > /o
