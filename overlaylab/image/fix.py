"""A smaller copy of an image, made and looked at again before anybody trusts it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadImage
from ..text import SizeUnits, human_text, printable
from .archive import load, save
from .model import Parts
from .report import Report
from .rewrite import view_of
from .squash import squashed
from .view import Directory, File

#: What is saved at least, of what squashing all layers would save, when layers are kept.
_ENOUGH = 0.95


@dataclass(frozen=True)
class Fixed:
    """A copy that was made.

    Attributes:
        path: where it is.
        tag: the name in it.
        kept: how many layers it shares with the image.
        squashed: how many others became one.
        before, after: the bytes that all layers store, in the image and in the copy.
        shared: of the bytes before, those in layers that became one: if other images have
            these layers, the copy stores them once more.
    """

    path: Path
    tag: str
    kept: int
    squashed: int
    before: int
    after: int
    shared: int

    def sentences(self, units: SizeUnits = "decimal") -> list[str]:
        """What it saves, and what it costs."""
        before, after = human_text(self.before, units), human_text(self.after, units)
        less = human_text(self.before - self.after, units)
        name = printable(str(self.path))
        return [
            f"{name} holds {printable(self.tag)}: {after} in {self.kept + 1} layer(s) in place of "
            f"{before} in {self.kept + self.squashed}, {less} less. It shows the same files, and "
            f"runs the same. Load it with: docker load -i {name}",
            f"The price: {self.squashed} layers, {human_text(self.shared, units)}, became one of "
            f"{human_text(self.after - self.before + self.shared, units)}. No other image shares "
            "it, the cache of a build does not know it, and every change of it is pushed and "
            "pulled whole.",
        ]


def best_keep(report: Report) -> int:
    """How many layers to keep so that nearly all is saved that squashing can save.

    Raises:
        BadImage: nothing can be saved.
    """
    unseen = [hidden for _, hidden in report.stored_and_unseen()]
    enough = _ENOUGH * sum(unseen[report.base :])
    if not enough:
        raise BadImage(
            "All that the layers store is seen: squashing them saves nothing. See the advice for "
            "what else would."
        )
    keep = len(unseen) - 1
    while sum(unseen[keep:]) < enough:
        keep -= 1
    return keep


def fix(image: Parts, report: Report, path: Path, *, keep: int, tag: str) -> Fixed:
    """Write a copy of an image whose layers above the lowest `keep` are one.

    Args:
        image: it.
        report: about it.
        path: where to; a docker archive.
        keep: how many of the lowest layers stay as they are.
        tag: the name in the copy.

    Raises:
        BadImage: something is there already, a layer is damaged, or the copy is not what the
            image is; nothing is left then.
    """
    save(squashed(image, keep), path, "docker-archive", "none", tag)
    try:
        copy = load(path)
        view = view_of(copy.layers)
        other = difference(report.view.root, view.root)
        if other is not None or copy.config != image.config:
            raise BadImage(
                "The copy would not be what the image is "
                f"({'its config' if other is None else f'/{other}'}): it was removed. This is a "
                "fault of overlaylab: please report it."
            )
    except BaseException:
        path.unlink() if path.is_file() else shutil.rmtree(path)
        raise
    sizes = [one.bytes for one in report.layers]
    one = sum(file.size for file in view.root.files() if file.layer == keep)
    after = sum(sizes[:keep]) + one
    shared = sum(sizes[keep:])
    return Fixed(path, tag, keep, len(sizes) - keep, sum(sizes), after, shared)


def difference(one: Directory, other: Directory) -> str | None:
    """A path at which a container would see something else; None if there is none."""
    left = [("", one, other)]
    while left:
        path, mine, theirs = left.pop()
        if mine.entry is not None and theirs.entry is not None:
            pair = (mine.entry, theirs.entry)
            now, then = ((x.mode, x.uid, x.gid, int(x.mtime), x.xattrs) for x in pair)
            if now != then:
                return path
        for name in sorted(mine.keys() | theirs.keys()):
            place = f"{path}/{name}" if path else name
            here, there = mine.get(name), theirs.get(name)
            if isinstance(here, Directory) and isinstance(there, Directory):
                left.append((place, here, there))
            elif not (isinstance(here, File) and isinstance(there, File)) or _differ(here, there):
                return place
    return None


def _differ(one: File, other: File) -> bool:
    kinds = (one.kind, one.size, one.names) != (other.kind, other.size, other.names)
    return kinds or one.differs(other) != ""
