FROM corpus/base
COPY --magic a.txt /a
