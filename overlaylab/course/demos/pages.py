"""The page cache: which parts of a file are in memory, and what reading from there costs."""

from __future__ import annotations

import itertools
import os
import statistics
import time
import weakref
from dataclasses import dataclass
from pathlib import Path

from ...backends.scratch import home, new_directory, sweep
from ...errors import ScratchRefused
from ...lab import Lab
from ...layer import Content, Layer, write_content
from ...linux import pagecache
from ...linux.pagecache import evict
from ...text import Table, Tabular, size_text
from ...trees import remove_tree

__all__ = ["Costs", "compare_costs", "disk_layer", "evict", "in_memory"]

#: Where a disk may be, if the lab has none.
_PLACES = ("/var/tmp", "/tmp", ".")
_numbers = itertools.count()


def in_memory(path: Path) -> str:
    """How much of a file is in memory, as mincore(2) tells, such as ``"0 B of 8 MiB"``.

    Args:
        path: the file, in a layer or in merged.

    Raises:
        OSError: it cannot be read.
    """
    kept, size = pagecache.resident(path)
    return f"{size_text(kept)} of {size_text(size)}"


def disk_layer(lab: Lab, name: str, content: Content) -> Layer:
    """Make a layer whose files can be dropped from memory.

    Where the lab lives on a tmpfs the layer is made elsewhere, on a disk: a lower may be on any
    filesystem. Without a disk it is made in the lab, and its files stay in memory.

    Args:
        lab: its lab. What is made elsewhere is gone when the lab is forgotten, at the latest when
            Python ends.
        name: its name.
        content: as for :meth:`.Lab.layer`.
    """
    if _can_evict(lab.path):
        return lab.layer(name, content)
    for place in _PLACES:
        try:
            sweep(home(place))  # what a killed process left
            path, lock = new_directory(home(place), "layer-")
        except (OSError, ScratchRefused):
            continue
        if _can_evict(path):
            weakref.finalize(lab, _remove, path, lock)
            write_content(str(path), content, name)
            return Layer(path, name)
        _remove(path, lock)
    return lab.layer(name, content)


def _can_evict(directory: Path) -> bool:
    trial = directory / f"trial{next(_numbers)}"
    trial.write_bytes(bytes(64 << 10))
    try:
        evict(trial)
        return not pagecache.resident(trial)[0]
    finally:
        trial.unlink()


def _remove(path: Path, lock: int) -> None:
    try:
        remove_tree(str(path))
    finally:
        os.close(lock)


@dataclass(frozen=True, repr=False)
class Costs(Tabular):
    """What two ways to the same files cost, in microseconds each.

    Attributes:
        read: reading a big file that is in memory: through the layer, through merged.
        opened: opening, reading and closing a small one, likewise.
    """

    read: tuple[float, float]
    opened: tuple[float, float]

    def _table(self) -> Table:
        rows = [("", "in the layer", "in merged", "merged costs")]
        for name, (layer, merged) in (("read", self.read), ("open and read", self.opened)):
            rows.append((name, f"{layer:,.1f} µs", f"{merged:,.1f} µs", f"× {merged / layer:.2f}"))
        return Table(rows, headed=True)


def compare_costs(layer: Path, merged: Path, big: str, small: str) -> Costs:
    """Measure reading through the layer and through merged, by turns.

    Args:
        layer, merged: the two directories.
        big: a file in both, to be read.
        small: a file in both, to be opened.

    Returns:
        The least of 15 times for the big one, the median of 500 for the small one.
    """
    read = [(_time_of_read(layer / big), _time_of_read(merged / big)) for _ in range(15)]
    opened = [(_time_of_read(layer / small), _time_of_read(merged / small)) for _ in range(500)]
    in_layer, in_merged = zip(*read, strict=True)
    small_in_layer, small_in_merged = zip(*opened, strict=True)
    return Costs(
        (min(in_layer), min(in_merged)),
        (statistics.median(small_in_layer), statistics.median(small_in_merged)),
    )


def _time_of_read(path: Path) -> float:
    begin = time.perf_counter()
    descriptor = os.open(path, os.O_RDONLY)
    while os.read(descriptor, 1 << 20):
        pass
    os.close(descriptor)
    return (time.perf_counter() - begin) * 1e6
