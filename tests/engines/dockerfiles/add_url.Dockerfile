FROM corpus/base
ADD https://example.invalid/x /x
