FROM corpus/base
ADD --exclude=*.py src /s/
