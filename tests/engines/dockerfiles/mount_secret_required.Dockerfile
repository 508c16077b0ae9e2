FROM corpus/base
RUN --mount=type=secret,id=nobody-gave-it,required=true echo x > /o
