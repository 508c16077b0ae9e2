# escape=x
FROM corpus/base
