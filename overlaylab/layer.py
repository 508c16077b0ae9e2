"""A directory that is one layer, and what its entries mean to overlayfs."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from .errors import BadLower, BadName, BadPath, in_words
from .linux import xattrs
from .text import Table, printable, size_text

EntryKind = Literal["file", "directory", "symlink", "whiteout", "other"]

#: What a layer is made of: a path, and its text or bytes; None for a directory ("etc/").
Content = Mapping[str, str | bytes | None]

#: The kernel's limit on a path, its final zero included (include/uapi/linux/limits.h).
_PATH_MAX = 4096


class Entry:
    """One entry of a layer.

    Attributes:
        kind: ``"file"``, ``"directory"``, ``"symlink"``, ``"whiteout"`` (nothing is there,
            and what lower layers have is hidden) or ``"other"`` (a device, socket or pipe).
        stat: its lstat(2).
        path: where it is, really.
    """

    __slots__ = ("_marks", "_prefixes", "kind", "path", "stat")

    def __init__(
        self, kind: EntryKind, status: os.stat_result, path: str, prefixes: Collection[str]
    ) -> None:
        self.kind = kind
        self.stat = status
        self.path = path
        self._prefixes = prefixes
        self._marks: dict[str, bytes] | None = None

    def __repr__(self) -> str:
        return f"Entry({self.kind!r}, size={self.size})"

    @property
    def marks(self) -> dict[str, bytes]:
        """Overlayfs's own xattrs of a file or directory, read when first asked for."""
        if self._marks is None:
            readable = self.kind in ("file", "directory")
            self._marks = xattrs.marks(self.path, self._prefixes) if readable else {}
        return self._marks

    @property
    def opaque(self) -> bool:
        """A directory that hides all that lower layers have in it."""
        return self.kind == "directory" and self.marks.get("opaque") == b"y"

    @property
    def redirect(self) -> str | None:
        """Where a renamed directory's lower part, or the data of a file that was copied up
        without them, is found; None if under its own name."""
        value = self.marks.get("redirect")
        return None if value is None else os.fsdecode(value)

    @property
    def metacopy(self) -> bool:
        """A file whose data is in a lower layer."""
        return self.kind == "file" and "metacopy" in self.marks

    @property
    def origin(self) -> bool:
        """It was copied up: the kernel noted where from."""
        return "origin" in self.marks

    @property
    def size(self) -> int:
        """The bytes of a file; 0 for everything else."""
        return self.stat.st_size if self.kind == "file" else 0


def read_entry(
    path: str,
    status: os.stat_result | None = None,
    prefixes: Collection[str] = xattrs.PREFIXES,
) -> Entry | None:
    """What `path` is to overlayfs; None where nothing is.

    A whiteout is a character device 0/0, or an empty file with the xattr
    ``overlay.whiteout``; an opaque directory has the xattr ``overlay.opaque`` = ``y``
    (Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories").

    Args:
        path: the real path.
        status: its lstat(2), if known already.
        prefixes: of the xattrs that are overlayfs's own.

    Raises:
        OSError: it cannot be looked at.
    """
    if status is None:
        try:
            status = os.lstat(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                return None
            raise
    mode = status.st_mode
    if stat.S_ISREG(mode):
        entry = Entry("file", status, path, prefixes)
        if status.st_size == 0 and "whiteout" in entry.marks:
            entry.kind = "whiteout"
        return entry
    kind: EntryKind = "other"
    if stat.S_ISDIR(mode):
        kind = "directory"
    elif stat.S_ISLNK(mode):
        kind = "symlink"
    elif stat.S_ISCHR(mode) and status.st_rdev == 0:
        kind = "whiteout"
    return Entry(kind, status, path, prefixes)


class Stored:
    """Sums up what the files of a layer take; one of several names counts once.

    Attributes:
        bytes: the sum so far.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._linked: set[int] = set()

    def add(self, entry: Entry) -> None:
        """Count `entry`, which is of the layer."""
        if entry.kind == "file":
            if entry.stat.st_nlink > 1:
                if entry.stat.st_ino in self._linked:
                    return
                self._linked.add(entry.stat.st_ino)
            self.bytes += entry.stat.st_size


class Layer:
    """A directory that is one layer of a stack.

    Args:
        path: an existing directory.
        name: what diagrams and messages call it; the directory's name if not given.
        prefixes: of the xattrs that are overlayfs's own in it. A layer by itself may have been
            written by any mount; as part of a stack it is read as that mount reads it.

    Attributes:
        path (Path): the directory.
        name (str): its name.
        prefixes (Collection[str]): as given.

    Raises:
        BadLower: `path` is no directory.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        prefixes: Collection[str] = xattrs.PREFIXES,
    ) -> None:
        self.path = Path(path).absolute()
        self.name = self.path.name if name is None else name
        self.prefixes = prefixes
        self._remembered: dict[str, Entry | None] | None = None
        self._check()

    def _check(self) -> None:
        if not self.path.is_dir():
            what = "is not a directory" if self.path.exists() else "does not exist"
            place = printable(str(self.path))
            raise BadLower(f"{place} {what}, and a layer is a directory: check the path.")

    def __repr__(self) -> str:
        return f"Layer({self.name!r})"

    def entry(self, path: str) -> Entry | None:
        """What this layer by itself has at `path` (relative, with ``/``); None for nothing.

        A symbolic link on the way leads nowhere: in a layer it is a name, not a directory.
        """
        place = str(self.path)
        *parents, name = path.split("/")
        for parent in parents:
            place = os.path.join(place, parent)
            found = self.read(place)
            if found is None or found.kind == "symlink":
                return None
        return self.read(os.path.join(place, name))

    def read(self, place: str) -> Entry | None:
        """What this layer has at `place`, a real path in it; None for nothing."""
        if self._remembered is None:
            return read_entry(place, prefixes=self.prefixes)
        if place not in self._remembered:
            self._remembered[place] = read_entry(place, prefixes=self.prefixes)
        return self._remembered[place]

    def remembering(self) -> Layer:
        """This layer, of which each entry is read from the disk once at most."""
        layer = Layer(self.path, self.name, self.prefixes)
        layer._remembered = {}
        return layer

    def walk(self) -> Iterator[tuple[str, Entry]]:
        """All entries with their relative paths, each directory before what is in it, sorted."""
        self._check()  # it may have gone with its lab
        yield from self._walk(str(self.path), "")

    def _walk(self, directory: str, prefix: str) -> Iterator[tuple[str, Entry]]:
        with os.scandir(directory) as found:
            children = sorted(found, key=lambda child: child.name)
        for child in children:
            entry = self.read(child.path)
            if entry is None:  # gone meanwhile, or a whiteout in a directory of one lower alone
                continue
            path = prefix + child.name
            yield path, entry
            if entry.kind == "directory":
                yield from self._walk(child.path, path + "/")

    @in_words("The layer could not be read")
    def tree(self) -> Table:
        """A listing: a line per entry, whiteouts and opaque directories by name."""
        rows = []
        for path, entry in self.walk():
            name = path + "/" if entry.kind == "directory" else path
            rows.append((printable(name), _describe(entry)))
        return Table(rows, empty=f"{self.name}: empty")


def _describe(entry: Entry) -> str:
    if entry.kind == "file":
        return size_text(entry.size) + (" (metadata only)" if entry.metacopy else "")
    if entry.kind == "directory":
        if entry.redirect is not None:
            return f"points to {printable(entry.redirect)}"
        return "opaque" if entry.opaque else ""
    return entry.kind


def check_lowers(lower: object) -> None:
    """Do nothing for a list with something in it.

    Raises:
        BadLower: it is one layer or path instead, or empty.
    """
    if not isinstance(lower, Sequence) or isinstance(lower, str | bytes):
        raise BadLower(f"lower={lower!r} is not a list: write lower=[…], the top layer first.")
    if not lower:
        raise BadLower("An overlay needs a lower: give at least one layer in a list, lower=[…].")


def check_name(name: object, what: str) -> str:
    """`name` if it can be the name of a directory, which `what` is going to be.

    Raises:
        BadName: it cannot.
    """
    if not isinstance(name, str):
        raise BadName(f"{name!r} cannot be the name of a {what}: give a string, such as 'base'.")
    reason = _not_a_file_name(name)
    if reason:
        raise BadName(
            f"{name!r} cannot be the name of a {what}, because {reason}: "
            "choose a plain name, such as 'base'."
        )
    return name


def _not_a_file_name(name: str) -> str:
    if name in ("", ".", ".."):
        return "that is no file name"
    if "/" in name or "\0" in name:
        return "a file name contains neither '/' nor a zero byte"
    try:
        length = len(os.fsencode(name))
    except UnicodeEncodeError:
        return "it holds half a character (a lone surrogate)"
    return "a file name has at most 255 bytes" if length > 255 else ""


def check_path(path: object, where: str) -> str:
    """`path` without a final ``/``, if it stays inside `where`.

    Raises:
        BadPath: it does not.
    """
    if not isinstance(path, str):
        raise BadPath(f"{path!r} is no path in {where}: give a string like 'etc/motd'.")
    parts = path.removesuffix("/").split("/")
    reason = next(filter(None, map(_not_a_file_name, parts)), "")
    if path.startswith("/"):
        reason = "it starts with '/'"
    elif ".." in parts:
        reason = "'..' leads out of it"
    elif not reason and len(os.fsencode(path)) >= _PATH_MAX:
        path, reason = path[:40] + "…", f"a path has less than {_PATH_MAX:,} bytes"
    if reason:
        raise BadPath(
            f"{path!r} is no path in {where}, because {reason}: give it relative, like 'etc/motd'."
        )
    return "/".join(parts)


def with_parents(path: str) -> list[str]:
    """`path` and the directories on the way to it, the first one first."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def write_content(directory: str, content: Content, layer: str) -> None:
    """Fill the empty `directory` with `content`; files get mode 0644, directories 0755.

    Raises:
        BadPath: a path that leaves the layer, or content that does not fit it.
        OSError: the filesystem refused.
    """
    if not isinstance(content, Mapping):
        raise BadPath(
            f"{content!r} cannot be the content of layer {layer!r}: give a dict of paths, such "
            "as {'etc/motd': 'hello', 'var/': None}."
        )
    for given, data in content.items():
        path = check_path(given, f"layer {layer!r}")
        target = os.path.join(directory, path)
        raw = _as_bytes(data, given, layer)
        if (raw is None) != given.endswith("/"):
            raise BadPath(
                f"{given!r} in layer {layer!r} is unclear: a directory is written 'name/': None, "
                "a file 'name': 'its text'."
            )
        try:
            make_directories(directory, path if raw is None else os.path.dirname(path))
            if raw is None:
                continue
            with open(target, "xb") as file:
                file.write(raw)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise BadPath(
                f"{given!r} is twice in layer {layer!r}, once as a file and once as a directory: "
                "keep one of them."
            ) from None
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise BadPath(
                f"{given[:40]!r}… is too long a path for layer {layer!r}: give a shorter one."
            ) from None
        os.chmod(target, 0o644)


def _as_bytes(data: object, path: str, layer: str) -> bytes | None:
    if data is None or isinstance(data, bytes):
        return data
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    if isinstance(data, str):
        with contextlib.suppress(UnicodeEncodeError):
            return data.encode()
    raise BadPath(
        f"The content of {path!r} in layer {layer!r} is no text: give a string or bytes, or None "
        "for a directory."
    )


def make_directories(directory: str, path: str) -> None:
    """Make `path` in `directory` with its parents, each that is missing with mode 0755."""
    for part in filter(None, path.split("/")):
        directory = os.path.join(directory, part)
        if os.path.isdir(directory):
            continue
        os.mkdir(directory)
        os.chmod(directory, 0o755)  # whatever the umask
