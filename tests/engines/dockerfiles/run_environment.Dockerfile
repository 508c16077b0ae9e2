FROM corpus/base
ENV A=1
ARG B=2
RUN env | grep -v -e ^HOSTNAME= -e ^SHLVL= -e ^OLDPWD= | sort > /o; umask >> /o; pwd >> /o
