FROM corpus/base
ARG WHO=app
USER ${WHO}
RUN id -un > ~/who
ENV HOME=/opt
USER app
RUN echo $HOME > /home/app/home
