"""Random layers and random operations: the same ones on each run, and the fewest that matter."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from ...layer import make_directories, with_parents
from ...trees import make_opaque, make_whiteout
from .filesystem import Operation, Piece

_Value = TypeVar("_Value")
_Kind = Literal["file", "directory", "opaque", "whiteout"]

_NAMES = ("a", "b")
_PLAIN_KINDS: Sequence[_Kind] = ("file", "file", "directory")
_KINDS: Sequence[_Kind] = ("file", "file", "directory", "opaque", "whiteout")
#: What an operation is mostly tried on, if it is no file.
_ON = {"rmdir": "directory", "mkdir": "directory"}
_LAYERS = ("app", "lib", "base")
_FILE_MODES = (0o644, 0o644, 0o600, 0o755)
_DIRECTORY_MODES = (0o755, 0o755, 0o750, 0o700)


class Item(NamedTuple):
    """What a layer has at a path.

    Attributes:
        kind: what it is.
        mode: the permissions of a file or directory.
    """

    kind: _Kind
    mode: int = 0


@dataclass(frozen=True)
class Case:
    """A stack, and what happens to it.

    Attributes:
        lowers: name → content of each lower layer by path, the top one first. A file's text is
            its layer's name.
        upper: what the upperdir has in the beginning; only where there are no operations.
        operations: in order.
    """

    lowers: Mapping[str, Mapping[str, Item]]
    upper: Mapping[str, Item] = field(default_factory=dict)
    operations: Sequence[Operation] = ()

    @property
    def paths(self) -> list[str]:
        """All paths that occur, with the directories on the way, sorted."""
        found: set[str] = set()
        for content in (self.upper, *self.lowers.values()):
            found.update(content)
        for operation in self.operations:
            found.add(operation.path)
            if operation.name == "rename":
                found.add(str(operation.argument))
        return sorted({parent for path in found for parent in with_parents(path)})


def fill(directory: Path, layer: str, content: Mapping[str, Item]) -> None:
    """Put `content` into the empty `directory`, which is that of the layer called `layer`."""
    root = os.fspath(directory)
    for path, (kind, _) in sorted(content.items()):
        place = directory / path
        is_directory = kind in ("directory", "opaque")
        make_directories(root, path if is_directory else os.path.dirname(path))
        if kind == "file":
            place.write_text(layer)
        elif kind == "whiteout":
            make_whiteout(str(place))
        elif kind == "opaque":
            make_opaque(str(place))
    for path, (kind, mode) in content.items():
        if kind != "whiteout":
            (directory / path).chmod(mode)


def random_case(pieces: Sequence[Piece], number: int) -> Case:
    """Case `number` for the last of `pieces`: it needs nothing but them."""
    piece = pieces[-1]
    chance = random.Random(f"{piece.name} {number}")
    paths: list[str] = []
    known = [name for one in pieces for name in one.operations]
    if not known:
        return Case(_lowers(chance, paths, _LAYERS, most=8), _layer(chance, paths, most=8))
    names = _LAYERS[chance.randrange(len(_LAYERS)) :]
    lowers = _lowers(chance, paths, names, most=5)
    kinds: dict[str, list[str]] = {"file": [], "directory": []}
    for content in lowers.values():
        for path, (kind, _) in content.items():
            if kind != "whiteout":
                kinds["file" if kind == "file" else "directory"].append(path)
    operations: list[Operation] = []
    for _ in range(chance.randint(1, 6)):
        name = chance.choice(piece.operations if chance.random() < 0.5 else known)
        fitting = kinds[_ON.get(name, "file")]
        path = chance.choice(fitting or paths) if chance.random() < 0.7 else _path(chance, paths)
        paths.append(path)
        new = list(_operations(chance, paths, name, path))
        paths += [str(one.argument) for one in new if one.name == "rename"]
        operations += new
    return Case(lowers, operations=operations)


def _lowers(
    chance: random.Random, paths: list[str], names: Sequence[str], *, most: int
) -> dict[str, dict[str, Item]]:
    made = {name: _layer(chance, paths, most=most) for name in reversed(names)}
    return {name: made[name] for name in names}


def _layer(chance: random.Random, paths: list[str], *, most: int) -> dict[str, Item]:
    """A layer's content, with so many entries at most.

    It has a whiteout or an opaque directory only where a layer below has something.

    Args:
        chance: where it comes from.
        paths: those of the layers below, its own are added.
        most: how many.
    """
    content: dict[str, Item] = {}
    below = set(paths)
    for _ in range(chance.randint(1, most)):
        path = _path(chance, paths)
        kind = chance.choice(_KINDS if path in below else _PLAIN_KINDS)
        is_directory = kind in ("directory", "opaque")
        *parents, _ = with_parents(path)
        if path in content or any(
            content.get(one, Item("directory")).kind in ("file", "whiteout") for one in parents
        ):
            continue
        if not is_directory and any(one.startswith(f"{path}/") for one in content):
            continue
        modes = _DIRECTORY_MODES if is_directory else _FILE_MODES
        content[path] = Item(kind, 0 if kind == "whiteout" else chance.choice(modes))
        paths += with_parents(path)
    return content


def _path(chance: random.Random, paths: Sequence[str]) -> str:
    """A path that occurs already, more often than not, or one in it, or any."""
    known = chance.choice(paths) if paths else ""
    if known and chance.random() < 0.6:
        return known
    if known and known.count("/") < 2 and chance.random() < 0.5:
        return f"{known}/{chance.choice(_NAMES)}"
    return "/".join(chance.choice(_NAMES) for _ in range(chance.choice((1, 1, 2, 3))))


def _operations(
    chance: random.Random, paths: list[str], name: str, path: str
) -> Iterator[Operation]:
    """An operation on `path`, or several that belong together.

    The removal of a directory needs that of all in it. A new file, or a file with a new name,
    may be the next to go.
    """
    if name == "rmdir" and chance.random() < 0.7:
        inside = {one for one in paths if f"{one}/".startswith(f"{path}/")}
        for one in sorted({path, *inside}, reverse=True):
            yield Operation("unlink", one)
            yield Operation("rmdir", one)
        if chance.random() < 0.7:
            yield Operation("mkdir", path)
    elif name == "rename":
        if chance.random() < 0.3:
            yield Operation("create", path)
        for _ in range(chance.choice((1, 2, 2))):
            beside = f"{chance.choice(paths).rpartition('/')[0]}/{chance.choice(_NAMES)}"
            target = beside.lstrip("/") if chance.random() < 0.5 else path
            if target == path:  # it may well be the same again
                target = _path(chance, paths)
            yield Operation(name, path, target)
            path = target
    elif name == "create":
        if chance.random() < 0.5:
            yield Operation("unlink", path)
        yield Operation(name, path)
        if chance.random() < 0.3:
            yield Operation("unlink", path)
    elif name in ("append", "overwrite"):
        yield Operation(name, path, "+")
    elif name == "chmod":
        yield Operation(name, path, chance.choice((0o711, 0o744)))
    else:
        yield Operation(name, path)


def smallest(case: Case, differs: Callable[[Case], bool]) -> Case:
    """Leave out of `case` all that can be left out while it still `differs`.

    What a whiteout or an opaque directory hides stays as long as the mark does: it is what the
    mark is about.
    """
    changed = True
    while changed:
        changed = False
        for smaller in list(_smaller(case)):
            if _needless_marks(smaller) <= _needless_marks(case) and differs(smaller):
                case, changed = smaller, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    """`case` without one of its parts each, the last ones and the largest first."""
    for number in reversed(range(len(case.operations))):
        kept = [*case.operations[:number], *case.operations[number + 1 :]]
        yield replace(case, operations=kept)
    for name in case.lowers:
        if len(case.lowers) > 1:
            yield replace(case, lowers=_without(case.lowers, name))
    for name, content in case.lowers.items():
        for path in reversed(list(content)):
            yield replace(case, lowers={**case.lowers, name: _without(content, path)})
    for path in reversed(list(case.upper)):
        yield replace(case, upper=_without(case.upper, path))


def _needless_marks(case: Case) -> int:
    """How many whiteouts and opaque directories have nothing beneath them."""
    layers = [case.upper, *case.lowers.values()]
    return sum(
        content.kind in ("whiteout", "opaque")
        and not any(path in Case({"": below}).paths for below in layers[number + 1 :])
        for number, layer in enumerate(layers)
        for path, content in layer.items()
    )


def _without(mapping: Mapping[str, _Value], key: str) -> dict[str, _Value]:
    return {one: value for one, value in mapping.items() if one != key}
