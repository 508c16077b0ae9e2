"""A large image of a real Debian, with the waste that people's images have.

``python -m tests.engines.big DIRECTORY`` makes the context of its build in some two minutes, as
root, with debootstrap and Debian's archive. What it is for, with either builder::

    docker build --network none -t big:1 DIRECTORY
    docker build --network none -t big:2 -f DIRECTORY/Dockerfile.2 DIRECTORY
    docker save big:1 | overlaylab inspect -
    overlaylab compare big:1 big:2

30 layers, 120,000 files and 4 GB, of which half is seen by nobody: packages that are copied and
removed later, lists of apt, a tree whose owner changes and one whose mode does, hard links, and a
file of 1.2 GB of zeros that is deleted. The second has one more package, and another file of
settings. A build takes some eight minutes and 9 GB.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

#: What is installed, a layer for each line, every one on those before it.
_GROUPS = (
    "ca-certificates curl git",
    "build-essential",
    "python3 python3-pip python3-venv",
    "nodejs npm",
    "golang",
    "libboost-all-dev",
    "linux-headers-amd64",
)
_MORE = "jq"

# dpkg neither waits for the disk nor runs the scripts that configure: the files are the same.
_UNPACK = "RUN dpkg --unpack --force-all --force-unsafe-io /debs/*.deb >/dev/null 2>&1"


def dockerfile(version: int) -> str:
    """The Dockerfile of the first or the second image."""
    steps = ["FROM scratch", "ADD base.tar /", "COPY lists /var/lib/apt/lists"]
    groups = [f"debs/{number}" for number in range(1, len(_GROUPS) + 1)]
    for group in [*groups, "debs/more"] if version == 2 else groups:
        steps += [f"COPY {group} /debs", _UNPACK, "RUN rm -rf /debs"]
    return "\n".join(
        [
            *steps,
            "RUN mkdir /srv/app && cp -a /usr/lib/python3 /usr/share/doc /srv/app",
            f"COPY settings.{version} /srv/app/settings",
            "RUN chown -R 1000:1000 /srv/app",
            "RUN cp -al /usr/share/perl /srv/links && cp -a /usr/share/perl /srv/perl "
            "&& cp -al /srv/perl /srv/perl-links",
            "RUN chmod -R g+w /usr/include/boost",
            "RUN dd if=/dev/zero of=/var/log/lastlog bs=1M count=1200 2>/dev/null",
            "RUN rm /var/log/lastlog && rm -rf /var/lib/apt/lists",
            'CMD ["python3"]',
            "",
        ]
    )


def make(place: Path) -> None:
    """Make the context in `place`, a directory that is not there yet."""
    place.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as directory:
        root = Path(directory, "root")
        subprocess.run(["debootstrap", "--variant=minbase", "bookworm", root], check=True)
        outside = ("dev/*", "var/cache/apt/archives/*.deb", "var/lib/apt/lists/*")
        tar = ["tar", "-C", root, *(f"--exclude=./{one}" for one in outside)]
        subprocess.run([*tar, "-cf", place / "base.tar", "."], check=True)
        cache = root / "var/cache/apt/archives"
        names: list[str] = []
        for number, group in enumerate([*_GROUPS, _MORE], 1):
            names += group.split()
            before = {*cache.glob("*.deb")}
            apt = ["apt-get", "-qq", "-y", "--no-install-recommends", "--download-only"]
            subprocess.run(["chroot", root, *apt, "install", *names], check=True)
            debs = place / "debs" / (str(number) if group != _MORE else "more")
            debs.mkdir(parents=True)
            for deb in sorted({*cache.glob("*.deb")} - before):
                os.link(deb, debs / deb.name)
        shutil.copytree(root / "var/lib/apt/lists", place / "lists", symlinks=True)
    (place / "Dockerfile").write_text(dockerfile(1))
    (place / "Dockerfile.2").write_text(dockerfile(2))
    for version in (1, 2):
        (place / f"settings.{version}").write_text(f"version = {version}\n" * version)


if __name__ == "__main__":
    make(Path(sys.argv[1]).absolute())
