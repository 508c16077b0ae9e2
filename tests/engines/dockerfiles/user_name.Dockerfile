FROM corpus/base
USER app
RUN echo $HOME > ~/home; id > ~/id
USER 1000
RUN echo $HOME > /home/app/home; id > /home/app/id
USER app:extra
RUN id > /home/app/id; echo $HOME >> /home/app/id
USER app
RUN touch ~/a
USER root
RUN touch /b; echo $HOME > /c
