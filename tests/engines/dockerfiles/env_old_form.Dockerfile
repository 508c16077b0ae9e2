FROM corpus/base
ENV KEY a value with  spaces
ENV Q "quoted" and 'single'
ENV R back\ slash $KEY
ENV A="a b" B='c $A' C=d\ e D="x\"y" E="l1\
l2" F='it''s' G="a"'b'c
ENV H="tab	in" I='back\slash' J="back\slash" K=back\slash
