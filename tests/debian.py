"""Debian's packages of any suite, unpacked: nothing is installed, and no apt of the machine's.

Only the standard library, so that any Python 3.11 can run what needs nothing else.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def unpack(
    target: Path,
    suite: str,
    *names: str,
    mirror: str = "",
    only: str = "",
    architecture: str = "",
) -> None:
    """Unpack packages, and those that they depend on, into `target`; no script of theirs is run.

    Args:
        target: a directory, which is made.
        suite: as in ``sid``.
        names: of the packages.
        mirror: the address of Debian's archive; that which debootstrap takes if it is not said.
        only: a regular expression; leave out the packages whose whole name is not so.
        architecture: as in ``amd64``; that of the machine if it is not said.

    Raises:
        CalledProcessError: apt or dpkg failed, and has said why on stderr.
    """
    mirror = mirror or _usual_mirror()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as directory:
        place = Path(directory)
        (place / "lists" / "partial").mkdir(parents=True)
        (place / "sources").write_text(f"deb [signed-by={_KEYRING}] {mirror} {suite} main\n")
        # The machine's own lists of packages are left alone, and nothing counts as installed.
        apt = ["apt-get", "-qq", f"-oDir::Etc::SourceList={place}/sources"]
        apt += ["-oDir::Etc::SourceParts=/dev/null", "-oDir::State::Status=/dev/null"]
        apt += [f"-oDir::State::Lists={place}/lists", f"-oDir::Cache={place}"]
        apt += ["-oAPT::Sandbox::User="]
        apt += [f"-oAPT::Architecture={architecture}"] if architecture else []
        subprocess.run([*apt, "update"], check=True)
        closure = [*apt, "install", "--no-install-recommends", "--print-uris", *names]
        said = subprocess.run(closure, check=True, stdout=subprocess.PIPE, text=True).stdout
        found = re.findall(r"^'\S+' ([^_\s]+)_", said, re.MULTILINE)
        wanted = [name for name in found if not only or re.fullmatch(only, name)]
        subprocess.run([*apt, "download", *wanted], check=True, cwd=place)
        for package in sorted(place.glob("*.deb")):
            subprocess.run(["dpkg", "-x", package, target], check=True)


def _usual_mirror() -> str:
    """The archive that debootstrap takes: the machine's own may be another distribution's."""
    script = Path(shutil.which("debootstrap", path=f"{os.defpath}:/usr/sbin") or "debootstrap")
    match = re.search(r'^DEF_MIRROR="(.+)"$', script.read_text(), re.MULTILINE)
    assert match is not None, f"{script} names no archive: give one"
    return match[1]
