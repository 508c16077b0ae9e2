FROM corpus/base
EXPOSE ["80", "81"]
