FROM corpus/base
CMD ["echo", \
     "two" \
    ]
