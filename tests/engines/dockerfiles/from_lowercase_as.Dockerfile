from corpus/base as one
run echo x > /o
from corpus/base
copy --from=one /o /o
env A=1
cmd ["x"]
