"""Filesystems and mounts of their own for a lesson, gone with the lab."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from ...errors import BadName, OverlaylabError
from ...lab import Lab
from ...layer import Content, Layer, check_name, write_content
from ...linux import mount
from ...linux.sandbox import find_program
from ...overlay import Overlay

_FS_IOC_FIEMAP = 0xC020660B
_FIEMAP_FLAG_SYNC, _FIEMAP_EXTENT_SHARED = 1, 0x2000
_FIEMAP, _EXTENT = struct.Struct("=QQIIII"), struct.Struct("=QQQQQIIII")


def _place(lab: Lab, name: str) -> Path:
    """A new directory in the lab to mount something at.

    Raises:
        BadName: the name cannot be used, or is used.
    """
    lab.check_open()
    path = lab.path / "filesystems" / check_name(name, "filesystem")
    if path.exists():
        raise BadName(
            f"This lab has a filesystem {name!r} already: choose another name, or make a new lab "
            "(run the cell with Lab(…) again)."
        )
    path.mkdir(parents=True)
    return path


def layer_elsewhere(lab: Lab, name: str, content: Content) -> Layer:
    """Make a layer on another filesystem than the lab's, a tmpfs of its own.

    Args:
        lab: with whose end it goes.
        name: what to call it.
        content: as for :meth:`.Lab.layer`.

    Raises:
        BadName: the name cannot be used, or is used.
        OSError: no tmpfs can be mounted here.
    """
    path = _place(lab, name)
    mount.mount_tmpfs(str(path))
    path.chmod(0o755)
    write_content(str(path), content, name)
    return Layer(path, name)


class Disk:
    """An XFS filesystem in a file of the lab, on a loop device; it has reflinks.

    Args:
        lab: with whose end it goes.
        name: what to call it.
        size: its bytes; XFS wants 300 MiB at least. The file is sparse.

    Attributes:
        path (Path): where it is mounted.

    Raises:
        BadName: the name cannot be used, or is used.
        OverlaylabError: there is no mkfs.xfs, or no loop device.
    """

    def __init__(self, lab: Lab, name: str = "disk", size: int = 512 << 20) -> None:
        self.path = _place(lab, name)
        image = self.path.with_name(f"{name}.xfs")
        with open(image, "wb") as file:
            file.truncate(size)
        _run("mkfs.xfs", "-q", "-m", "reflink=1", str(image))
        _run("mount", "-t", "xfs", "-o", "loop,nosuid,nodev", str(image), str(self.path))
        self.path.chmod(0o755)

    def written(self) -> int:
        """The bytes written to the device so far, what is only in memory yet left out."""
        device = os.stat(self.path).st_dev
        numbers = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text()
        # The seventh: sectors of 512 bytes (Documentation/block/stat.rst).
        return int(numbers.split()[6]) * 512

    def written_by_fsync(self, path: Path, size: int) -> int:
        """Write a file and have it synced; how many bytes have reached the device by then.

        Args:
            path: the file, in a merged directory whose upper is on this disk.
            size: its bytes.
        """
        before = self.written()
        with open(path, "wb") as file:
            file.write(os.urandom(size))
            file.flush()
            os.fsync(file.fileno())
        return self.written() - before


def erofs_layer(lab: Lab, layer: Layer) -> Layer:
    """A layer as one file with an erofs filesystem in it, mounted; nobody can write to it.

    The file is the layer's name with ``.erofs``, in the directory above :attr:`.Layer.path`.

    Args:
        lab: with whose end it goes.
        layer: what to put into it, marks and all.

    Raises:
        BadName: the lab has it already.
        OverlaylabError: there is no mkfs.erofs, or the kernel does not mount it.
    """
    path = _place(lab, f"{layer.name}-erofs")
    image = path.with_name(f"{layer.name}.erofs")
    # One time and one name, so that the same layer is the same file.
    _run("mkfs.erofs", "--quiet", "-T0", f"-U{UUID(int=0)}", str(image), str(layer.path))
    _run("mount", "-t", "erofs", "-o", "loop,ro,nosuid,nodev", str(image), str(path))
    return Layer(path, f"{layer.name}-erofs")


#: Program → Debian's package with it.
_PACKAGES = {"mkfs.xfs": "xfsprogs", "mkfs.erofs": "erofs-utils", "mount": "mount"}


def _run(*command: str) -> None:
    program = find_program(command[0])
    if program is None:
        raise OverlaylabError(
            f"There is no {command[0]} here, which this lesson needs: install it "
            f"(apt-get install {_PACKAGES[command[0]]}), or leave these cells out."
        )
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        words = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise OverlaylabError(
            f"{command[0]} failed ({words}): a disk needs loop devices and the root of the "
            "machine; leave these cells out without them."
        )


def shared_bytes(path: str | os.PathLike[str]) -> int:
    """How many bytes of a file's blocks belong to another file as well (FIEMAP).

    Args:
        path: a file on a filesystem with reflinks, with less than a thousand extents.

    Raises:
        OSError: the filesystem does not say.
    """
    most = 1000
    answer = bytearray(_FIEMAP.size + most * 56)
    _FIEMAP.pack_into(answer, 0, 0, 2**64 - 1, _FIEMAP_FLAG_SYNC, 0, most, 0)
    with open(path, "rb") as file:
        fcntl.ioctl(file, _FS_IOC_FIEMAP, answer)
    count = _FIEMAP.unpack_from(answer)[3]
    extents = [_EXTENT.unpack_from(answer, _FIEMAP.size + number * 56) for number in range(count)]
    return sum(one[2] for one in extents if one[5] & _FIEMAP_EXTENT_SHARED)


def mount_again(overlay: Overlay, options: Mapping[str, str] | None = None) -> Overlay:
    """Mount an overlay's lowers, upper and workdir once more, as after a restart.

    Args:
        overlay: one of a lab on the kernel backend; it is unmounted if it is not yet.
        options: as for :meth:`.Lab.mount`; they need not be those of the first time.

    Raises:
        MountRefused: the kernel refused.
    """
    return overlay.open_lab().mount_again(overlay, options)
