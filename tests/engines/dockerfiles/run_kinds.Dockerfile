FROM corpus/base
RUN touch /s && chmod 4755 /s && touch /g && chmod 2755 /g && mkdir /t && chmod 1777 /t && mkdir /sg && chmod 2775 /sg && mkdir /sg/inherits \
 && touch /a && chown app:extra /a && touch /b && chown 12345:54321 /b && ln -s a /l && chown -h app /l \
 && mkfifo -m 640 /p \
 && echo secret > /f && chmod 0 /f && mkdir /d && echo x > /d/x && chmod 0 /d
RUN dd if=/dev/zero of=/sparse bs=1 count=1 seek=1048575 2> /dev/null && truncate -s 4096 /hole \
 && mkdir /wh && touch /wh/.who && echo x > /wh/.w
