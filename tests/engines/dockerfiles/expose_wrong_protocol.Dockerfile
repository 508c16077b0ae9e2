FROM corpus/base
EXPOSE 80/smtp
