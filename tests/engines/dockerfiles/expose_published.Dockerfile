FROM corpus/base
EXPOSE 8080:80
