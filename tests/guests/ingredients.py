"""What a guest is made of: a kernel of Debian's, a user land, and the checkout.

All of it comes from Debian's and Python's package registries, and is kept in ``build/guests``.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..debian import unpack
from ..helpers import ROOT

KEPT = ROOT / "build" / "guests"

#: Where Debian has which kernel: "newest" is whatever its unstable suite has.
SUITES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "newest": "sid"}

#: What the guests' user land has besides a minimal Debian 12: its own Python, 3.11.2.
_PACKAGES = (
    *("acl", "attr", "busybox-static", "git", "graphviz", "kmod", "make", "procps", "python3"),
    *("python3-pip", "rsync", "sqlite3", "xfsprogs"),
)

#: What a guest needs and a kernel may have as modules: its disks, and what the tests mount.
_MODULES = ("virtio_pci", "virtio_blk", "virtio_rng", "overlay", "loop", "xfs")


@dataclass(frozen=True)
class Kernel:
    """A kernel to boot.

    Attributes:
        name: as in :data:`SUITES`.
        release: its full version.
        image: what QEMU boots.
        initramfs: its first programs and modules.
    """

    name: str
    release: str
    image: Path
    initramfs: Path


def _run(*command: str | Path, **options: object) -> str:
    """A command's output; its errors are seen."""
    done = subprocess.run(
        [str(word) for word in command],
        **{"check": True, "stdout": subprocess.PIPE, "text": True, **options},  # type: ignore
    )
    return str(done.stdout)


def kernel(name: str, mirror: str) -> Kernel:
    """Download and unpack a kernel, unless that has been done.

    Args:
        name: one of :data:`SUITES`.
        mirror: the address of Debian's archive.
    """
    place = KEPT / f"linux-{name}"
    if not (place / "unpacked").exists():
        shutil.rmtree(place, ignore_errors=True)
        unpack(
            place,
            SUITES[name],
            "linux-image-cloud-amd64",
            mirror=mirror,
            only=r"linux-(image|binary|modules)-\d\S*-cloud-amd64",
            architecture="amd64",
        )
        (place / "unpacked").touch()
    _make_initramfs(_in_order(_modules(place), _MODULES), place / "initramfs")
    image = next(path for path in place.glob("**/vmlinuz*") if path.is_file())
    return Kernel(name, _modules(place).name, image, place / "initramfs")


def _modules(place: Path) -> Path:
    """The directory with the modules of the kernel unpacked in `place`, called as its release."""
    return next(path for path in place.glob("**/lib/modules/*") if (path / "kernel").is_dir())


def _make_initramfs(modules: Sequence[Path], target: Path) -> None:
    """busybox, the program ``init`` beside this file, and `modules` in their order."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise FileNotFoundError("busybox, from Debian's busybox-static")
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for name in ("bin", "dev", "proc", "root", "modules"):
            (root / name).mkdir()
        shutil.copy(busybox, root / "bin/busybox")
        shutil.copy(Path(__file__).with_name("init"), root / "init")
        (root / "init").chmod(0o755)
        for number, module in enumerate(modules):
            (root / f"modules/{number:02}-{_name(module)}.ko").write_bytes(_content(module))
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.glob("**/*")))
        with open(target, "wb") as archive:
            subprocess.run(
                [busybox, "cpio", "-o", "-H", "newc"],
                input=names.encode(),
                stdout=archive,
                stderr=subprocess.DEVNULL,
                cwd=root,
                check=True,
            )


def _in_order(modules: Path, names: Sequence[str]) -> list[Path]:
    """The files of modules and of those they depend on, which come first; none if built in."""
    files = {_name(path): path for path in modules.glob("**/*.ko*")}
    found: list[Path] = []

    def add(name: str) -> None:
        path = files.get(name)
        if path is None or path in found:
            return
        depends = re.search(rb"\0depends=([^\0]*)", _content(path))
        for other in (depends[1].decode() if depends else "").split(","):
            add(other.replace("-", "_"))
        found.append(path)

    for name in names:
        add(name)
    return found


def _name(module: Path) -> str:
    return module.name.partition(".")[0].replace("-", "_")


def _content(module: Path) -> bytes:
    raw = module.read_bytes()
    return lzma.decompress(raw) if module.suffix == ".xz" else raw


def user_land() -> tuple[Path, str]:
    """Make a disk image with Debian 12 and, in /packages, what requirements.lock names.

    Returns:
        The image, and the address of the archive that debootstrap has taken it from.
    """
    lock = ROOT / "requirements.lock"
    key = hashlib.sha256(" ".join(_PACKAGES).encode() + lock.read_bytes()).hexdigest()[:12]
    image, mirror = KEPT / f"user-land-{key}.img", KEPT / f"user-land-{key}.mirror"
    if image.exists():
        return image, mirror.read_text()
    with tempfile.TemporaryDirectory(dir=KEPT) as directory:
        root = Path(directory, "root")
        _run(
            "debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", "bookworm", root
        )
        mirror.write_text((root / "etc/apt/sources.list").read_text().split()[1])
        for name in ("course", "packages"):
            (root / name).mkdir()
        with open(root / "etc/passwd", "a") as users:
            users.write("learner:x:1000:1000::/tmp/home-user:/bin/sh\n")
        uv = Path(sys.executable).with_name("uv")
        _run(
            uv,
            "pip",
            "install",
            "--quiet",
            "--python-version=3.11",
            "--python-platform=linux",
            f"--target={root}/packages",
            "--requirement",
            lock,
        )
        kernels = root / "usr/share/jupyter/kernels"
        kernels.mkdir(parents=True)
        (kernels / "overlaylab").symlink_to("/course/share/jupyter/kernels/overlaylab")
        # Without compiled modules every program of a guest would start by compiling them.
        _run("chroot", root, "python3", "-m", "compileall", "-q", "/packages", check=False)
        shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
        disk(image, root)
    return image, mirror.read_text()


def disk(image: Path, content: Path | None = None, megabytes: int = 0) -> Path:
    """Make an ext4 image of a directory, or an empty one."""
    if content is not None:
        used = int(_run("du", "-sm", "--apparent-size", content).split()[0])
        files = sum(len(names) for _, *both in os.walk(content) for names in both)
        megabytes = used * 5 // 4 + files // 200 + 32
    part = image.with_suffix(".part")
    source: list[str | Path] = [] if content is None else ["-d", content]
    _run("mke2fs", "-q", "-t", "ext4", "-m", "0", *source, part, f"{megabytes}M")
    return part.rename(image)


def checkout(image: Path) -> Path:
    """A disk image of the checkout as it is now."""
    with tempfile.TemporaryDirectory(dir=KEPT) as directory:
        names = _run(
            "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT
        )
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                target = Path(directory, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target)
        return disk(image, Path(directory))
