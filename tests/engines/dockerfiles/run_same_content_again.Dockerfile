FROM corpus/base
RUN echo x > /f
RUN echo x > /f
RUN echo one > /f
RUN echo longer than one > /f
RUN rm /f
RUN echo again > /f
