"""Stacks that :meth:`.Lab.mount` does not make: too deep, too long, or with a shared upper.

Whatever is mounted here is unmounted again by the function or the ``with`` that mounted it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...draw.curve import Curve
from ...errors import MountRefused
from ...lab import Lab
from ...layer import Layer
from ...linux import mount, syscalls
from ...trees import remove_tree

_numbers = itertools.count()
_NO_LOG = "What the kernel wrote into its log cannot be read here: that is root's to do."


def kernel_words(action: Callable[[], object]) -> str:
    """Try `action`, and give the kernel's own words about it.

    Args:
        action: what to try.

    Returns:
        The errno's name and the message the kernel gave with it, or the errno's meaning where
        it gave none; paths are cut to their last part. ``"not refused"`` if it worked.
    """
    try:
        action()
    except (OSError, MountRefused) as error:
        number = error.errno or 0
        said = getattr(error, "kernel_message", "") or os.strerror(number)
        return f"{errno.errorcode[number]}: {re.sub(r'/[^ ]*/', '…/', said)}"
    return "not refused"


def upper_in(directory: Path, lower: Layer) -> None:
    """Mount an overlay with its upper in `directory`, and unmount it again.

    Args:
        directory: where upper and workdir are made; they are removed again.
        lower: the only lower.

    Raises:
        MountError: the kernel refused.
    """
    parts = [directory / name for name in ("upper", "work", "merged")]
    for part in parts:
        part.mkdir()
    upper, work, merged = map(str, parts)
    try:
        mount.mount_overlay(merged, _stack([lower], upper, work))
        mount.unmount(merged)
    finally:
        for part in parts:
            remove_tree(str(part))


def _stack(
    lower: Sequence[Layer], upper: str, work: str, options: Mapping[str, str] | None = None
) -> mount.Request:
    paths = [str(layer.path) for layer in lower]
    return mount.Request(paths, upper, work, options or {})


class SharedUpper:
    """Two overlay mounts with one upper, which is what nobody should do. Use it with ``with``.

    Args:
        lab: where it lives.
        lower: the lowers of both.
        index: mount them with ``index=on``.

    Attributes:
        one (Path): where the first is mounted.
        two (Path): where the second is.
        warning (str): what the kernel wrote into its log about the second, or that the log may
            not be read here.

    Raises:
        MountError: the kernel refused one of them; then neither is mounted.
    """

    def __init__(self, lab: Lab, lower: Sequence[Layer], *, index: bool = False) -> None:
        home = lab.path / f"shared{next(_numbers)}"
        self.one, self.two, upper, *works = parts = [
            home / name for name in ("one", "two", "upper", "work1", "work2")
        ]
        for part in parts:
            part.mkdir(parents=True)
        self.warning = ""
        self._mounted: list[Path] = []
        try:
            for place, work in zip((self.one, self.two), works, strict=True):
                options = {"index": "on" if index else "off"}
                stack = _stack(lower, str(upper), str(work), options)
                with _new_messages() as log:
                    mount.mount_overlay(str(place), stack)
                    self._mounted.append(place)
                    said = (line for line in log() if "in-use" in line or line == _NO_LOG)
                    self.warning = next(said, "")
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Unmount both."""
        while self._mounted:
            mount.unmount(str(self._mounted.pop()), detach=True)

    def __enter__(self) -> SharedUpper:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def _new_messages() -> Iterator[Callable[[], list[str]]]:
    """What the kernel writes into its log from now on; that it may not be read, if so.

    A line of /dev/kmsg is ``level,number,time,flags;text``
    (Documentation/ABI/testing/dev-kmsg).
    """
    try:
        log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield lambda: [_NO_LOG]
        return

    def read() -> list[str]:
        lines = []
        with contextlib.suppress(BlockingIOError):
            while True:
                with contextlib.suppress(BrokenPipeError):  # some were overwritten
                    text = os.read(log, 8192).decode(errors="replace")
                    lines.append(text.partition(";")[2].splitlines()[0])
        return lines

    try:
        os.lseek(log, 0, os.SEEK_END)
        yield read
    finally:
        os.close(log)


@dataclass(frozen=True)
class Mounting:
    """What a mount with many names led to.

    Attributes:
        length: how many characters its options have; 0 if it had no such text.
        layers: how many layers there are in the mount.
        refused: the errno's name; ``""`` if it was not refused.
    """

    length: int
    layers: int
    refused: str = ""

    def __repr__(self) -> str:
        how = f"options of {self.length:,} characters" if self.length else "one call for each layer"
        done = f"refused, {self.refused}" if self.refused else f"mounted, {self.layers} layers seen"
        return f"{how}: {done}"


class NamedLayers:
    """Layers under long names, and under short ones, as Docker's overlay2 store has them.

    A long name is ``d/`` and 64 digits. The short one is ``l/`` and 26 characters: a link to
    the directory of the long name.

    Args:
        lab: where they live.
        count: how many there are; each has one file of its own.

    Attributes:
        long (list[str]): the long names.
        short (list[str]): the short ones.
    """

    def __init__(self, lab: Lab, count: int) -> None:
        self._home = lab.path / f"named{next(_numbers)}"
        digests = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(count)]
        self.long = [f"d/{digest}" for digest in digests]
        self.short = [f"l/{digest[:26].upper()}" for digest in digests]
        for name in ("l", "merged"):
            (self._home / name).mkdir(parents=True)
        for number, (long, short) in enumerate(zip(self.long, self.short, strict=True)):
            (self._home / long).mkdir(parents=True)
            (self._home / long / f"file{number}").touch()
            (self._home / short).symlink_to(f"../{long}")

    def mount_by_text(self, names: Sequence[str]) -> Mounting:
        """Mount with ``lowerdir=name:name…`` through mount(2), as the driver overlay2 does.

        Names are relative to the directory in which all layers are. The call is made by a
        thread with a working directory of its own, in this place. The mount is read-only.
        """
        options = f"lowerdir={':'.join(names)}"
        return self._mounted(
            lambda: syscalls.mount_in(
                str(self._home), "overlay", "merged", "overlay", mount.MS_RDONLY, options.encode()
            ),
            len(options),
        )

    def mount_one_by_one(self, names: Sequence[str]) -> Mounting:
        """Mount with one ``lowerdir+`` for each layer, through fsconfig(2)."""
        paths = [str(self._home / name) for name in names]
        request = mount.Request(paths)
        return self._mounted(lambda: mount.mount_by_paths(str(self._home / "merged"), request), 0)

    def _mounted(self, action: Callable[[], object], length: int) -> Mounting:
        try:
            action()
        except OSError as error:
            return Mounting(length, 0, errno.errorcode[error.errno or 0])
        layers = len(os.listdir(self._home / "merged"))
        mount.unmount(str(self._home / "merged"))
        return Mounting(length, layers)


@dataclass(frozen=True)
class Misses:
    """What it costs to look for a name that no layer has.

    Attributes:
        first: number of lowers → microseconds, for a name that was not asked for before.
        again: the same for the second time.
    """

    first: dict[int, float]
    again: dict[int, float]

    def chart(self) -> Curve:
        """Both as curves over the number of lowers."""
        lines = {"first time": self.first, "second time": self.again}
        return Curve("lowers", "µs", {name: list(line.items()) for name, line in lines.items()})


def measure_misses(
    lab: Lab, layers: Sequence[Layer], depths: Sequence[int], *, inside: str = "."
) -> Misses:
    """Measure stat(2) of names that no layer has, in stacks of several depths.

    The kernel remembers the answer, a *negative dentry*, in merged and in each layer; so each
    name is a new one in each stack, and then asked for once more.

    Args:
        lab: where the stacks are mounted.
        layers: the lowers, as many as the deepest stack has.
        depths: numbers of lowers.
        inside: the directory in which the names are looked for.

    Returns:
        The median of 100 names each.
    """
    number = next(_numbers)
    first, again = {}, {}
    for depth in depths:
        stack = lab.mount(f"depth{number}-{depth}", lower=layers[:depth])
        names = [f"{stack.merged}/{inside}/missing-{depth}-{name}" for name in range(100)]
        os.stat(f"{stack.merged}/{inside}")
        first[depth] = statistics.median(map(_time_of_stat, names))
        again[depth] = statistics.median(map(_time_of_stat, names))
        stack.unmount()
    return Misses(first, again)


def _time_of_stat(path: str) -> float:
    begin = time.perf_counter_ns()
    with contextlib.suppress(FileNotFoundError):
        os.stat(path)
    return (time.perf_counter_ns() - begin) / 1000
