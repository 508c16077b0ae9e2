# The whole course in one image:
#
#     docker build -t overlaylab .
#     docker run --rm -it --privileged -p 127.0.0.1:8888:8888 overlaylab
#
# and open the address with the token that it prints. To keep your work when the container is
# gone: --volume overlaylab-course:/course. The labs need no volume: the root
# filesystem of a container takes no upperdir, so they move to a tmpfs of their own. To have
# them on a disk instead: --volume /var/tmp
#
# Without --privileged, and as a user: --user learner. No mount is permitted then, and a
# stand-in does what the kernel would do.

# Any Debian with Python 3.11 or newer, for example debian:bookworm-slim.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS built
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv
RUN python3 -m venv /opt/overlaylab
COPY . /src
# For pip, if it needs a mirror: --build-arg PIP_ARGS="--index-url …"
ARG PIP_ARGS=
RUN /opt/overlaylab/bin/pip install --no-cache-dir --disable-pip-version-check ${PIP_ARGS} \
        --require-hashes --requirement /src/requirements-course.lock \
 && /opt/overlaylab/bin/pip install --no-cache-dir --disable-pip-version-check ${PIP_ARGS} \
        --no-deps /src

FROM ${BASE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends busybox-static proot python3 xfsprogs \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
 && useradd --create-home --shell /bin/bash --uid 1000 learner
COPY --from=built /opt/overlaylab /opt/overlaylab
ENV PATH=/opt/overlaylab/bin:$PATH LANG=C.UTF-8
RUN overlaylab course --no-lab /course && chown --recursive learner:learner /course
WORKDIR /course
EXPOSE 8888
CMD ["overlaylab", "course", "/course", "--no-browser", "--port=8888", "--", "--ip=0.0.0.0"]
