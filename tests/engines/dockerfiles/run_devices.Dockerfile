FROM corpus/base
RUN echo x > /dev/null && test -c /dev/null && test -c /dev/zero && test -c /dev/urandom && head -c 3 /dev/zero > /z && ls -l /dev/fd > /dev/null && echo e > /dev/stdout && echo ok > /o
RUN test -d /proc/self && cat /proc/self/comm > /o && test -r /proc/meminfo && test -d /sys/kernel && echo ok >> /o
