FROM corpus/base
ADD t.tar capable.tar t.tar.[gb]z* a.txt notatar.tar /x/
