FROM corpus/base
ENV A="${Q:?must be set}"
