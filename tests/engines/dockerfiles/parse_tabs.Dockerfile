FROM	corpus/base
RUN	echo x > /o
	ENV	A=1	B=2
COPY	a.txt	/a
