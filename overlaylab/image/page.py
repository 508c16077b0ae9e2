"""A report as a page that is one file: a treemap, a tree, and why some bytes are seen by nobody.

It opens from a disk, without a server, and asks nothing of any other. What it shows was written by
strangers: it is text in a script element that is not run, with ``<`` escaped, and the page's policy
(Content Security Policy, Level 3) permits its own script and styles alone, by their digests.

An image can have hundreds of thousands of files, a page cannot. So paths share what they have in
common, and the smallest files of a directory are one entry, with their number and sums.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from string import Template

from ..draw import theme
from ..text import SizeUnits, escaped, human_text, printable, shortened
from .advice import advice
from .report import LayerReport, Report
from .view import File, Hidden

#: Bytes of all names in a page, with what stands around each.
_MOST = 4_500_000
#: Around the name of a file and of a directory: brackets, commas, sizes, how it is hidden; and in a
#: directory the small files as one, those that are seen and those that are not.
_AROUND_FILE, _AROUND_DIRECTORY = 18, 60
#: Characters of an instruction, in the data and in a row of the table.
_INSTRUCTION, _WORDS = 400, 160
#: As much advice is given.
_ADVICE = 12
#: The width of a layer's bar, in pixels, and that of all sums, which is stretched.
_BAR, _WHOLE = 120, 1000

#: How a size is written.
_Size = Callable[[int], str]
#: How a file is hidden: its word's number, and the layer's that hides it.
_Why = tuple[int, int]
#: Of several files that are hidden in several ways.
_SEVERAL: _Why = (-1, -1)


def page(report: Report, title: str, units: SizeUnits = "decimal") -> str:
    """The report as HTML: the same bytes for the same report.

    Args:
        report: best one that was made with ``dive=True``, for its efficiency is shown.
        title: what it is a report of, as plain text.
        units: how sizes are written.

    Raises:
        BadImage: the efficiency was not asked for before, and a layer is damaged.
    """
    size = partial(human_text, units=units)
    light, dark = (
        "".join(f"--{name}:{colour};" for name, colour in colours._asdict().items())
        for colours in (theme.LIGHT, theme.DARK)
    )
    style = (
        f":root {{ {light}--edge:#8c959f; }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark}--edge:#768390; }} }}\n"
        f"{_beside('page.css')}"
    )
    script = Path(theme.__file__).with_name("treemap.js").read_text() + _beside("page.js")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )
    return Template(_beside("page.html")).substitute(
        title=escaped(title),
        policy=policy,
        style=style,
        script=script,
        sums=_sums(report, size),
        advice=_advised(report, size),
        layers=_layers(report, size),
        data="".join(_data(report, units)),
    )


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text()


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _sums(report: Report, size: _Size) -> str:
    """What the image is, the sums, and a bar of them."""
    about = [*report.tags, report.platform, report.digest]
    rows = [
        ("total", size(report.total_bytes)),
        ("visible", size(report.visible_bytes)),
        ("reclaimable", size(report.reclaimable_bytes)),
        *([("pushed", size(pushed))] if (pushed := report.pushed_bytes) is not None else []),
        ("layers" + (" above the base" if report.base else ""), f"{len(report.own_layers):,}"),
        ("efficiency, as dive counts it", f"{report.efficiency:.1%}"),
    ]
    cells = "".join(
        f'<div class="{words.partition(",")[0]}"><dt>{words}</dt><dd>{figure}</dd></div>'
        for words, figure in rows
    )
    bar = _bar(report.total_bytes, report.reclaimable_bytes, report.total_bytes, _WHOLE, size)
    return f"<p>{escaped(' · '.join(filter(None, about)))}</p>\n<dl>{cells}</dl>\n{bar}"


def _bar(stored: int, unseen: int, most: int, width: int, size: _Size) -> str:
    """Two blocks, as long as what is seen and what is not; the other one is striped.

    The stripes are the dashes of a thick line, as in :mod:`overlaylab.draw.chart`.
    """
    scale = width / max(most, 1)
    seen, hidden = (stored - unseen) * scale, unseen * scale
    words = f"{size(stored)} stored, {size(unseen)} of it seen by nobody"
    return (
        f'<svg role="img" aria-label="{words}" width="{width}" height="12" '
        f'viewBox="0 0 {width} 12" preserveAspectRatio="none">'
        f'<rect class="seen" width="{seen:.1f}" height="12"/>'
        f'<path class="unseen" d="M{seen:.1f} 6h{hidden:.1f}" stroke-width="12" '
        'stroke-dasharray="2 3"/></svg>'
    )


def _advised(report: Report, size: _Size) -> str:
    """What would make the image smaller, the largest saving first."""
    found = advice(report)
    items = [
        f"<li><strong>{size(one.bytes)}</strong> {_words(one.sentence, _INSTRUCTION)}</li>"
        for one in found[:_ADVICE]
    ]
    if not items:
        return "<p>Nothing that is worth the trouble.</p>"
    rest = found[_ADVICE:]
    if rest:
        more = size(sum(one.bytes for one in rest))
        items.append(f"<li><strong>{more}</strong> … {len(rest):,} more pieces of advice</li>")
    return f"<ul>{''.join(items)}</ul>"


def _words(text: str, most: int) -> str:
    """Prose on one line, as HTML."""
    return escaped(shortened(" ".join(text.split()), most))


def _layers(report: Report, size: _Size) -> str:
    """The layers above the base, one to a row."""
    pushed = any(layer.pushed_bytes is not None for layer in report.own_layers)
    most = max((layer.bytes for layer in report.own_layers), default=0)
    sizes = report.stored_and_unseen()
    rows = []
    for layer in report.own_layers:
        counted = (
            (layer.added, layer.added_bytes),
            (layer.changed, layer.changed_bytes),
            (layer.hid, layer.hid_bytes),
        )
        cells = [
            size(layer.bytes),
            *([_known(layer.pushed_bytes, size)] if pushed else []),
            _bar(*sizes[layer.number], most, _BAR, size),
            *(f"{size(stored)} in {files:,}" if files else "–" for files, stored in counted),
        ]
        rows.append(
            f'<tr><td data-layer="{layer.number}">{layer.number + 1}</td>'
            f'<th scope="row">{_words(_made_by(layer), _WORDS)}</th>'
            f"{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        )
    heads = ["layer", "made by", "stores", *(["pushed"] if pushed else [])]
    heads += ["seen or not", "new files", "changed", "hides below"]
    head = "".join(f'<th scope="col">{words}</th>' for words in heads)
    body = "\n".join(rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"


def _known(stored: int | None, size: _Size) -> str:
    return "–" if stored is None else size(stored)


def _made_by(layer: LayerReport) -> str:
    return layer.name if layer.instruction == "?" else layer.instruction


# The data of the treemap and the tree


class _Entry:
    """A file, or several as one."""

    __slots__ = ("bytes", "files", "kept", "name", "unseen", "unseen_files", "why")
    around = _AROUND_FILE

    def __init__(self, name: str) -> None:
        self.name = name
        self.files = self.bytes = self.unseen_files = self.unseen = 0
        self.why: _Why | None = None
        self.kept = True

    def add(self, other: _Entry) -> None:
        self.files += other.files
        self.bytes += other.bytes
        self.unseen_files += other.unseen_files
        self.unseen += other.unseen
        if other.why is not None:
            self.why = other.why if self.why in (None, other.why) else _SEVERAL

    @property
    def length(self) -> int:
        """About the bytes that it takes in a page."""
        return len(self.name.encode()) + self.around


class _Directory(_Entry):
    """A directory, with the sums of all that is in it."""

    __slots__ = ("children",)
    around = _AROUND_DIRECTORY

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.children: list[_Entry] = []


def _data(report: Report, units: SizeUnits) -> Iterator[str]:
    """JSON in pieces; page.js says what is in it."""
    ways = sorted({_way(one) for one in report.view.hidden})
    numbers = {way: number for number, way in enumerate(ways)}
    files: list[list[tuple[File, _Why | None]]] = [[] for _ in report.layers]
    for file in report.view.root.files():
        files[file.layer].append((file, None))
    for one in report.view.hidden:
        files[one.file.layer].append((one.file, (numbers[_way(one)], one.by)))
    trees = [_tree(some if n >= report.base else []) for n, some in enumerate(files)]
    del files
    _fold([entries for _, entries in trees])
    yield f'{{"units":{_json(units)},"ways":{_json(ways)},"layers":['
    for layer, (root, _) in zip(report.layers, trees, strict=True):
        words = printable(shortened(_made_by(layer), _INSTRUCTION))
        yield f"{',' if layer.number else ''}\n[{_json(words)},"
        yield from _written(root)
        yield "]"
    yield "]}"


def _way(one: Hidden) -> str:
    """How a file is hidden, in words."""
    return f"{one.how} with another {one.differs}" if one.differs else one.how


def _json(value: object) -> str:
    """JSON for a script element: no ``<`` is in it, and so neither ``</script`` nor ``<!--``.

    HTML, "Restrictions for contents of script elements".
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _tree(files: list[tuple[File, _Why | None]]) -> tuple[_Directory, list[_Entry]]:
    """The root of a layer, and all its entries, each after the directory that it is in.

    Args:
        files: what the layer stores, and how it is hidden, if it is.
    """
    root = _Directory("")
    directories, found = {"": root}, list[_Entry]()

    def directory(path: str) -> _Directory:
        missing = []
        while path not in directories:
            missing.append(path)
            path = path.rpartition("/")[0]
        at = directories[path]
        for path in reversed(missing):
            child = directories[path] = _Directory(printable(path.rpartition("/")[2]))
            at.children.append(child)
            at = child
        return at

    for file, why in sorted(files, key=lambda one: (one[0].path, one[1] or ())):
        head, _, name = file.path.rpartition("/")
        entry = _Entry(printable(name))
        entry.files, entry.bytes, entry.why = 1, file.size, why
        if why is not None:
            entry.unseen_files, entry.unseen = 1, file.size
        directory(head).children.append(entry)
        found.append(entry)
    for one in reversed(directories.values()):
        for child in one.children:
            one.add(child)
    return root, [*directories.values(), *found]


def _fold(layers: Sequence[list[_Entry]]) -> None:
    """Say of each entry whether it is kept: those of most bytes, as far as the page has room.

    Every layer has its share of the room. What a small one leaves is for the others.
    """
    left = _MOST
    lengths = [sum(entry.length for entry in entries) for entries in layers]
    smallest_first = sorted(range(len(layers)), key=lengths.__getitem__)
    for number, one in enumerate(smallest_first):
        share = left // (len(layers) - number)
        if lengths[one] > share:
            # A directory comes before what is in it: it has no fewer bytes, and the sort is stable.
            room = share
            for entry in sorted(layers[one], key=lambda entry: -entry.bytes):
                room -= entry.length
                entry.kept = room >= 0
            lengths[one] = share
        left -= lengths[one]


def _written(root: _Directory) -> Iterator[str]:
    """A directory as JSON; no recursion, for directories can be very deep."""
    left: list[_Directory | str] = [root]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
            continue
        pieces, directories, small = [], [], _Entry("")
        for child in one.children:
            if not child.kept:
                small.add(child)
            elif isinstance(child, _Directory):
                directories.append(child)
            else:
                pieces.append(_json([child.name, child.bytes, *(child.why or ())]))
        if small.files > small.unseen_files:
            pieces.append(_json([small.files - small.unseen_files, small.bytes - small.unseen]))
        if small.unseen_files:
            pieces.append(_json([small.unseen_files, small.unseen, *(small.why or ())]))
        yield f"[{_json(one.name)},{one.bytes},{one.unseen},{one.files},[{','.join(pieces)}"
        left.append("]]")
        for number, inner in reversed(list(enumerate(directories))):
            left += [inner, "," if number or pieces else ""]
