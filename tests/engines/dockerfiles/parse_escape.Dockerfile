# escape=`
FROM corpus/base
RUN echo a `
 && echo b > /o
ENV P=C:\dir Q=a` b
COPY a.txt `
  /a
