"""Why bytes of an image are stored and not seen, put together, and what would save them.

A large image has a hundred thousand hidden files and a handful of causes: one instruction that
hides in one way what another stored. And of what is seen, some is left over from building.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..text import printable, shortened
from .report import LayerReport, Report
from .view import Directory, File, Hidden, common_place

#: Advice about less than this part of an image is not worth reading.
_LEAST = 0.001
_WORDS = 44

#: What is left over from building, and what leaves it out.
_LEFT_OVERS: Mapping[str, tuple[str, str]] = {
    "var/lib/apt/lists": ("apt lists", "end that RUN with 'rm -rf /var/lib/apt/lists/*'"),
    "var/cache/apt": ("apt's cache", "end that RUN with 'apt-get clean'"),
    "var/cache/apk": ("apk's cache", "say 'apk add --no-cache'"),
    "var/cache/dnf": ("dnf's cache", "end that RUN with 'dnf clean all'"),
    "var/cache/libdnf5": ("dnf's cache", "end that RUN with 'dnf clean all'"),
    "var/cache/yum": ("yum's cache", "end that RUN with 'yum clean all'"),
    "var/cache/zypp": ("zypper's cache", "end that RUN with 'zypper clean --all'"),
    "var/cache/pacman/pkg": ("pacman's cache", "end that RUN with 'pacman -Scc --noconfirm'"),
    "usr/local/cargo/registry": ("cargo's registry", "use RUN --mount=type=cache for it"),
    "go/pkg/mod": ("Go's modules", "build in another stage, and copy the program"),
    "usr/local/share/.cache/yarn": ("yarn's cache", "end that RUN with 'yarn cache clean'"),
}
_LEFT_OVERS_AT_HOME: Mapping[str, tuple[str, str]] = {
    ".cache/pip": ("pip's cache", "say 'pip install --no-cache-dir'"),
    ".cache/uv": ("uv's cache", "say 'uv … --no-cache'"),
    ".cache/pypoetry": ("poetry's cache", "say 'poetry install --no-cache'"),
    ".cache/go-build": ("Go's build cache", "use RUN --mount=type=cache for it"),
    ".cache/yarn": ("yarn's cache", "end that RUN with 'yarn cache clean'"),
    ".cargo/registry": ("cargo's registry", "use RUN --mount=type=cache for it"),
    ".npm": ("npm's cache", "end that RUN with 'npm cache clean --force'"),
    ".m2/repository": ("Maven's repository", "use RUN --mount=type=cache for it"),
    ".gradle/caches": ("Gradle's caches", "use RUN --mount=type=cache for it"),
    ".gem": ("gem's cache", "use RUN --mount=type=cache for it"),
    ".composer/cache": ("composer's cache", "say 'composer install --no-cache'"),
}
_BYTE_CODE = "__pycache__"

#: How a layer is called in a sentence.
Named = Callable[[LayerReport], str]


@dataclass(frozen=True, slots=True)
class Cause:
    """Files of one layer that another one hides in one way.

    Attributes:
        stored_in, hidden_in: the numbers of the layers, from the bottom.
        how, differs: see :class:`.Reclaimable`.
        bytes, files: how many.
        place: the deepest directory that has nearly all of the bytes, ``""`` for the root; of a
            single file its path.
        elsewhere: how many of the files are not there.
    """

    stored_in: int
    hidden_in: int
    how: str
    differs: str
    bytes: int
    files: int
    place: str
    elsewhere: int = 0


@dataclass(frozen=True, slots=True)
class Advice:
    """What would make an image smaller.

    Attributes:
        bytes: by how much, at most.
        sentence: what to do, to which instruction.
        layers: the numbers of the layers that it is about, from the bottom.
    """

    bytes: int
    sentence: str
    layers: tuple[int, ...]


def causes(report: Report, hidden: Iterable[Hidden] | None = None) -> list[Cause]:
    """Why bytes above the base are not seen, what explains most of them first.

    Args:
        report: about the image.
        hidden: the files that it is asked of; all if None.
    """
    found = defaultdict[tuple[int, int, str, str], list[Hidden]](list)
    for one in report.view.hidden if hidden is None else hidden:
        if one.file.size and one.file.layer >= report.base:
            found[one.file.layer, one.by, one.how, one.differs].append(one)
    made = []
    for key, files in found.items():
        place = common_place([(one.file.path, one.file.size) for one in files])
        inside = f"{place}/" if place else ""
        elsewhere = sum(not one.file.path.startswith(inside) for one in files)
        size = sum(one.file.size for one in files)
        made.append(Cause(*key, size, len(files), place, elsewhere if len(files) > 1 else 0))
    return sorted(made, key=lambda one: (-one.bytes, one.stored_in, one.hidden_in, one.how))


def advice(report: Report, *, named: Named | None = None) -> list[Advice]:
    """What would make the image smaller, the largest saving first.

    Args:
        report: about the image.
        named: how a layer is called; by its place and its instruction if None.
    """
    call = named or layer_words
    found = [
        Advice(one.bytes, _sentence(report, one, call), (one.stored_in, one.hidden_in))
        for one in causes(report)
    ]
    found += _left_over(report, call)
    least = _LEAST * report.total_bytes
    return sorted((one for one in found if one.bytes >= least), key=lambda x: (-x.bytes, x.layers))


def layer_words(layer: LayerReport) -> str:
    """What to call a layer: ``layer 7 (RUN apt-get update)``."""
    words = shortened(printable(layer.instruction), _WORDS)
    return f"layer {layer.number + 1}" + ("" if words in ("?", layer.name) else f" ({words})")


def _sentence(report: Report, cause: Cause, call: Named) -> str:
    below, above = report.layers[cause.stored_in], report.layers[cause.hidden_in]
    here, there, what = call(above), call(below), files_words(cause)
    if below is above:
        return f"{here} has {what} twice: make its archive with each path once."
    keyword = below.instruction.partition(" ")[0]
    copied = keyword in ("COPY", "ADD") and not _is_base(below)
    join = f"join {_both(_short(below, call), _short(above, call))}"
    if cause.how in ("deleted", "made opaque"):
        did = "deletes" if cause.how == "deleted" else "empties the directory of"
        remedy = (
            "leave it out of the copy (.dockerignore), or use RUN --mount=type=bind"
            if copied
            else "take a base without it"
            if _is_base(below)
            else f"{join}, for a deletion frees bytes only in the RUN that wrote them"
        )
        return f"{here} {did} {what}, which {there} stores: {remedy}."
    if cause.how == "stored again":
        differs, option = _DIFFERS[cause.differs]
        remedy = (
            f"say {keyword} {option}=… at {_short(below, call)}"
            if copied and option
            else "leave alone what the base brings"
            if _is_base(below)
            else f"{join}, or leave alone what is there already"
        )
        return f"{here} stores {what} again, which {there} stores{differs}: {remedy}."
    if _is_base(below):
        join = "leave alone what the base brings"
    if cause.how == "replaced":
        return f"{here} changes {what}, which {there} stores: {join}, or write it once."
    return f"{here} has something of another kind in place of {what} of {there}: {join}."


def _is_base(layer: LayerReport) -> bool:
    """Is it what FROM names? The lowest layer is, if neither RUN nor COPY made it."""
    return layer.number == 0 and not layer.instruction.startswith(("RUN ", "COPY "))


#: In what a file that is stored again differs → in words, and the option of COPY that gives it.
_DIFFERS = {
    "owner": (" with another owner", "--chown"),
    "mode": (" with another mode", "--chmod"),
    "time": (" with another time", ""),
    "content": (" with another content", ""),
    "": (" just like that", ""),
}


def _short(layer: LayerReport, call: Named) -> str:
    """A layer whose instruction was told before: ``layer 7``."""
    return call(layer).partition(" (")[0]


def _both(first: str, second: str) -> str:
    """``lines 7 and 9``; ``layer 2 and line 9``."""
    kind, _, number = first.partition(" ")
    other, _, then = second.partition(" ")
    return f"{kind}s {number} and {then}" if kind == other else f"{first} and {second}"


def files_words(cause: Cause) -> str:
    """The files of a cause: ``/etc/motd``, or ``2,000 files (mostly in /opt)``."""
    if cause.files == 1:
        return f"/{printable(cause.place)}"
    where = f"in /{printable(cause.place)}"
    return f"{cause.files:,} files " + (f"(mostly {where})" if cause.elsewhere else where)


def _left_over(report: Report, call: Named) -> Iterator[Advice]:
    """Of what a container sees, what only building needs."""
    root = report.view.root
    for path, name, remedy in _places(root):
        found = root.find(path)
        if isinstance(found, Directory):
            yield from _left(report, found.files(), f"{name} in /{path}", remedy, call)
    byte_code = [
        file
        for path, one in root.walk()
        if isinstance(one, Directory) and path.endswith(_BYTE_CODE)
        for file in one.files()
    ]
    words = "byte code of Python", "set PYTHONDONTWRITEBYTECODE=1, if a slower start is no matter"
    yield from _left(report, byte_code, *words, call)


def _places(root: Directory) -> Iterator[tuple[str, str, str]]:
    for path, words in _LEFT_OVERS.items():
        yield path, *words
    users = root.get("home")
    homes = ["root", *(f"home/{name}" for name in (users if isinstance(users, Directory) else ()))]
    for home in homes:
        for path, words in _LEFT_OVERS_AT_HOME.items():
            yield f"{home}/{path}", *words


def _left(
    report: Report, files: Iterable[File], what: str, remedy: str, call: Named
) -> Iterator[Advice]:
    sums = defaultdict[int, int](int)
    for file in files:
        if file.layer >= report.base:
            sums[file.layer] += file.size
    total = sum(sums.values())
    if total:
        most = max(sums, key=lambda number: sums[number])
        by = call(report.layers[most])
        more = f" and {len(sums) - 1} other layer(s)" if len(sums) > 1 else ""
        sentence = f"{by}{more} left {printable(what)}: {remedy}."
        yield Advice(total, sentence, tuple(sorted(sums)))
