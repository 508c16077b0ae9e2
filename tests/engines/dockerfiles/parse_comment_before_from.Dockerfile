
# a comment

   # indented
FROM corpus/base
   # indented
  RUN echo x > /o # not a comment of Docker
