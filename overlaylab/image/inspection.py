"""A report as it is printed: lines for a terminal, for images of a hundred layers and more."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import NotInImage
from ..text import SizeUnits, human_text, printable, shortened
from .advice import Cause, Named, advice, causes, files_words, layer_words
from .compare import Comparison, LayerChange
from .model import Parts, new_rest
from .report import LayerReport, Report
from .view import Directory, File, Hidden, without_links

#: As many layers, and as many of everything else, are printed if nobody says how many.
_LAYERS, _LINES = 30, 10
_INDENT = "  "
#: Characters of a size in a column: ``1,023 MiB``, or all digits of some hundred gigabytes.
_SIZE, _ALL_DIGITS = 9, 17

#: What layers can be sorted by → the figure; the largest comes first.
SORTS: dict[str, Callable[[LayerReport, int], int]] = {
    "order": lambda layer, hidden: -layer.number,
    "size": lambda layer, hidden: layer.bytes,
    "hidden": lambda layer, hidden: hidden,
    "pushed": lambda layer, hidden: layer.pushed_bytes or 0,
    "files": lambda layer, hidden: layer.added + layer.changed,
}
#: How a layer hides a file, as its past.
_HOW = {
    "deleted": "deleted by",
    "made opaque": "deleted with all in its directory by",
    "replaced": "replaced by",
    "stored again": "stored again by",
    "gave way": "in the way of something else of",
    "twice in one layer": "twice in",
}
_DIFFERS = {
    "owner": ", with another owner",
    "mode": ", with another mode",
    "time": ", with another time",
    "content": ", with another content",
}


@dataclass(frozen=True)
class Printer:
    """How a report is printed.

    Attributes:
        width: the columns of the terminal.
        units: how sizes are written.
        sort: what layers are sorted by, one of :data:`SORTS`.
        top: how many of each are printed; None for what fits on some screens.
        named: how a layer is called in a sentence.
    """

    width: int = 80
    units: SizeUnits = "decimal"
    sort: str = "order"
    top: int | None = None
    named: Named = layer_words

    def report(self, report: Report) -> Iterator[str]:
        """All about an image."""
        yield from self._head(report)
        yield from self._layers(report)
        yield ""
        yield from self._sums(report)
        yield from self._advice(report)
        yield from self._duplicates(report)

    def layer(self, report: Report, number: int) -> Iterator[str]:
        """All about one layer.

        Args:
            report: about its image.
            number: its place, the lowest has 1.

        Raises:
            NotInImage: there is none of that number.
        """
        if not 0 < number <= len(report.layers):
            raise NotInImage(
                f"The image has {len(report.layers)} layer(s), and none has the number {number}: "
                f"give one from 1 to {len(report.layers)}."
            )
        layer = report.layers[number - 1]
        yield from self._wrapped(f"layer {number} of {len(report.layers)}: {layer.instruction}")
        yield ""
        unseen = report.stored_and_unseen()[layer.number][1]
        yield from self._table(
            [
                ("stores", self._size(layer.bytes)),
                ("of it unseen", self._size(unseen)),
                ("pushed", self._size(layer.pushed_bytes)),
                ("new files", f"{layer.added:,}, {self._size(layer.added_bytes)}"),
                ("changed", f"{layer.changed:,}, {self._size(layer.changed_bytes)}"),
                ("hides below", f"{layer.hid:,}, {self._size(layer.hid_bytes)}"),
                *([("diff ID", layer.diff_id)] if layer.diff_id else []),
                *([("media type", layer.media_type)] if layer.media_type else []),
            ]
        )
        stored = [(one, None) for one in report.view.root.files() if one.layer == layer.number]
        hidden = [(one.file, one) for one in report.view.hidden if one.file.layer == layer.number]
        yield from self._files([*stored, *hidden])
        mine = [one for one in causes(report) if layer.number in (one.stored_in, one.hidden_in)]
        yield from self._causes(report, mine)

    def path(self, report: Report, path: str) -> Iterator[str]:
        """All about one path: which layers store it, and which of them is seen.

        Raises:
            NotInImage: no layer has it.
        """
        parts = [part for part in path.split("/") if part not in ("", ".")]
        *above, name = parts or [""]
        path = "/".join(filter(None, [without_links(report.view.root, "/".join(above)), name]))
        inside = f"{path}/" if path else ""
        seen = report.view.root.find(path)
        stored: list[tuple[File, Hidden | None]] = []
        if isinstance(seen, Directory):
            stored += [(file, None) for file in seen.files()]
        elif seen is not None:
            stored.append((seen, None))
        stored += [
            (one.file, one)
            for one in report.view.hidden
            if one.file.path == path or one.file.path.startswith(inside)
        ]
        if seen is None and not stored:
            raise NotInImage(f"No layer of the image has {path or '/'}: give a path from its root.")
        kind = "directory" if isinstance(seen, Directory) else seen.kind if seen else "not seen"
        yield from self._wrapped(f"/{path} ({kind})")
        if isinstance(seen, File):
            yield from self._wrapped(_attributes(seen))
        yield ""
        sums = defaultdict[int, list[int]](lambda: [0, 0, 0])
        for file, by in stored:
            sum_ = sums[file.layer]
            sum_[0] += file.size
            sum_[1] += file.size if by else 0
            sum_[2] += 1
        largest = sorted(sums, key=lambda number: (-sums[number][0], number))
        shown, rest = largest[: self.top or _LAYERS], largest[self.top or _LAYERS :]
        rows = [
            self._path_row(str(n + 1), sums[n], report.layers[n].instruction) for n in sorted(shown)
        ]
        if rest:
            all_of_it = [sum(column) for column in zip(*(sums[n] for n in rest), strict=True)]
            rows.append(self._path_row("…", all_of_it, f"{len(rest):,} more layers"))
        yield from self._columns(("layer", "stores", "unseen", "files", "made by"), rows)
        if len(stored) > 1 or not isinstance(seen, File):
            yield from self._files(stored)
        hidden = [by for _, by in stored if by]
        yield from self._causes(report, causes(report, hidden))

    def _path_row(self, name: str, sums: Sequence[int], words: str) -> tuple[str, ...]:
        return name, self._size(sums[0]), self._size(sums[1]), f"{sums[2]:,}", words

    def comparison(self, comparison: Comparison) -> Iterator[str]:
        """What an image has grown by since another."""
        old, new = comparison.old, comparison.new
        rows: list[tuple[str, ...]] = [
            (name, self._size(was), self._size(now), self._growth(was, now))
            for name, was, now in (
                ("total", old.total_bytes, new.total_bytes),
                ("visible", old.visible_bytes, new.visible_bytes),
                ("reclaimable", old.reclaimable_bytes, new.reclaimable_bytes),
                ("pushed", old.pushed_bytes, new.pushed_bytes),
            )
        ]
        yield from self._columns(("", "old", "new", "growth"), rows, left=1)
        shared = comparison.shared
        size = sum(one.bytes for one in new.layers[:shared])
        yield ""
        yield from self._wrapped(
            f"The lowest {shared} of {len(old.layers)} and {len(new.layers)} layers are the same, "
            f"{self._size(size)}, and stored once."
            if shared
            else "No layer at the bottom is the same: nothing is shared."
        )
        changes = [one for one in comparison.layers if one.how != "same"]
        if changes:
            yield ""
            rows = [self._layer_change(one) for one in changes]
            head = ("old", "new", "stored", "now", "", "made by")
            yield from self._columns(head, self._first(rows, _LAYERS, "layers"))
        groups = comparison.path_groups()
        if groups:
            yield ""
            yield "What a container sees:"
        for group in groups[: self.top or _LINES]:
            layers = old.layers if group.how == "gone" else new.layers
            what = f"{group.files:,} files" if group.files != 1 else "1 file"
            where = f" in /{printable(group.place)}" if group.files != 1 else ""
            name = f": /{printable(group.place)}" if group.files == 1 else ""
            by = self.named(layers[group.layer])
            of = "was in" if group.how == "gone" else "by"
            yield from self._item(
                group.growth, f"{what} {group.how}{where}{name}, {of} {by}", signed=True
            )
        if len(groups) > (self.top or _LINES):
            rest = groups[self.top or _LINES :]
            yield from self._item(
                sum(one.growth for one in rest), f"… in {len(rest):,} more ways", signed=True
            )
        if comparison.paths:
            yield ""
            yield "The largest changes:"
        for one in comparison.paths[: self.top or _LINES]:
            yield from self._item(one.growth, f"{one.how}: /{printable(one.path)}", signed=True)

    def _layer_change(self, one: LayerChange) -> tuple[str, ...]:
        was, now = (layer.bytes if layer else None for layer in (one.old, one.new))
        layer = one.new or one.old
        return (
            str(one.old.number + 1) if one.old else "–",
            str(one.new.number + 1) if one.new else "–",
            self._size(was),
            self._size(now),
            self._growth(was or 0, now or 0),
            layer.instruction if layer else "",
        )

    def _growth(self, was: int | None, now: int | None) -> str:
        if was is None or now is None:
            return "–"
        sign = "+" if now > was else "−" if now < was else ""
        return sign + self._size(abs(now - was))

    def _head(self, report: Report) -> Iterator[str]:
        # The machine is told where it is another, so that the same image reads alike anywhere.
        here = Parts((), rest=new_rest(0)).platform
        other = report.platform if report.platform != here else ""
        names = ", ".join(report.tags)
        if words := " · ".join(filter(None, [names, other])):
            yield from self._wrapped(words)
            yield ""
        if report.base:
            size = sum(one.bytes for one in report.layers[: report.base])
            few = report.base == 1
            what = "layer" if few else f"{report.base} layers"
            yield from self._wrapped(
                f"The base brings the lowest {what}, {self._size(size)}: "
                f"{'it is' if few else 'they are'} left out."
            )
            hidden = sum(
                one.file.size
                for one in report.view.hidden
                if one.file.layer < report.base <= one.by
            )
            if hidden:
                yield from self._wrapped(
                    f"Of the base's files {self._size(hidden)} are hidden by layers above, which "
                    "only another base would save."
                )
            yield ""

    def _layers(self, report: Report) -> Iterator[str]:
        unseen = [hidden for _, hidden in report.stored_and_unseen()]
        figure = SORTS[self.sort]
        layers = sorted(report.own_layers, key=lambda one: -figure(one, unseen[one.number]))
        most = self.top or _LAYERS
        shown = layers
        if len(layers) > most:
            largest = layers
            if self.sort == "order":
                largest = sorted(layers, key=lambda one: (-one.bytes, one.number))
            chosen = {one.number for one in largest[:most]}
            shown = [one for one in layers if one.number in chosen]
        pushed = any(one.pushed_bytes is not None for one in layers)
        rows = [
            (
                str(one.number + 1),
                self._size(one.bytes),
                *([self._size(one.pushed_bytes)] if pushed else []),
                self._size(unseen[one.number]) if unseen[one.number] else "–",
                one.instruction,
            )
            for one in shown
        ]
        if len(shown) < len(layers):
            rest = [one for one in layers if one not in shown]
            sizes = [sum(one.bytes for one in rest), sum(unseen[one.number] for one in rest)]
            sent = [one.pushed_bytes for one in rest]
            sum_ = None if None in sent else sum(size or 0 for size in sent)
            rows.append(
                (
                    "…",
                    self._size(sizes[0]),
                    *([self._size(sum_)] if pushed else []),
                    self._size(sizes[1]) if sizes[1] else "–",
                    f"{len(rest):,} more layers (--top {len(layers)} shows them)",
                )
            )
        head = ("layer", "stores", *(["pushed"] if pushed else []), "unseen", "made by")
        yield from self._columns(head, rows)

    def _sums(self, report: Report) -> Iterator[str]:
        total = report.total_bytes
        part = f"  ({report.reclaimable_bytes / total:.1%})" if total else ""
        pushed = report.pushed_bytes
        rows = [
            ("total", self._size(total)),
            ("visible", self._size(report.visible_bytes)),
            ("reclaimable", self._size(report.reclaimable_bytes) + part),
        ]
        known = pushed is not None
        rows.append(("pushed", self._size(pushed) if known else "not known (--pushed measures it)"))
        yield from self._table(rows)

    def _causes(self, report: Report, found: Sequence[Cause]) -> Iterator[str]:
        if not found:
            return
        yield ""
        yield "Stored and not seen:"
        most = self.top or _LINES
        for one in found[:most]:
            below, above = (self.named(report.layers[n]) for n in (one.stored_in, one.hidden_in))
            words = f"{files_words(one)} of {below}, {_HOW[one.how]} {above}"
            yield from self._item(one.bytes, words + _DIFFERS.get(one.differs, ""))
        yield from self._rest([one.bytes for one in found[most:]], "reasons")

    def _rest(self, sizes: Sequence[int], what: str) -> Iterator[str]:
        if sizes:
            yield from self._item(sum(sizes), f"… {len(sizes):,} more {what}")

    def _duplicates(self, report: Report) -> Iterator[str]:
        found = report.duplicates()
        if not found:
            return
        yield ""
        yield "Equal contents, stored more than once:"
        most = self.top or _LINES
        for one in found[:most]:
            places = [f"/{printable(path)} (layer {layer + 1})" for path, layer in one.files[:3]]
            more = len(one.files) - len(places)
            words = ", ".join(places) + (f" and {more:,} more" if more > 0 else "")
            yield from self._item(one.bytes, words)
        yield from self._rest([one.bytes for one in found[most:]], "contents")

    def _advice(self, report: Report) -> Iterator[str]:
        found = advice(report, named=self.named)
        if found:
            yield ""
            yield "What would save most:"
        most = self.top or _LINES
        for one in found[:most]:
            yield from self._item(one.bytes, one.sentence)
        yield from self._rest([one.bytes for one in found[most:]], "pieces of advice")

    def _files(self, stored: Sequence[tuple[File, Hidden | None]]) -> Iterator[str]:
        if not stored:
            return
        yield ""
        yield "The largest files:"
        ordered = sorted(stored, key=lambda one: (-one[0].size, one[0].path, one[0].layer))
        most = self.top or _LINES
        for file, by in ordered[:most]:
            words = f"/{printable(file.path)}, layer {file.layer + 1}"
            if by is not None:
                words += f", {_HOW[by.how]} layer {by.by + 1}"
            yield from self._item(file.size, words)
        yield from self._rest([one.size for one, _ in ordered[most:]], "files")

    def _size(self, size: int | None) -> str:
        return "–" if size is None else human_text(size, self.units)

    def _item(self, size: int, words: str, *, signed: bool = False) -> Iterator[str]:
        """A size, and words beside it on as many lines as they need."""
        text = self._growth(0, size) if signed else self._size(size)
        column = _ALL_DIGITS if self.units == "bytes" else _SIZE + signed
        head = f"{_INDENT}{text.rjust(column)}  "
        yield from self._wrapped(words, head, " " * len(head))

    def _wrapped(self, words: str, head: str = "", indent: str = "") -> Iterator[str]:
        width = max(self.width, 40)
        yield from textwrap.wrap(
            printable(words),
            width,
            initial_indent=head,
            subsequent_indent=indent,
            break_on_hyphens=False,
        ) or [head]

    def _table(self, rows: Sequence[tuple[str, str]]) -> Iterator[str]:
        most = max(len(name) for name, _ in rows)
        for name, value in rows:
            yield f"{name.ljust(most)}  {printable(value)}"

    def _columns(
        self, head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 0
    ) -> Iterator[str]:
        """Columns of numbers, to the right, and at the end one of words, which is cut."""
        every = [head, *([printable(cell) for cell in row] for row in rows)]
        words = head[-1] == "made by"
        numbers = len(head) - 1 if words else len(head)
        widths = [max(len(row[n]) for row in every) for n in range(numbers)]
        for row in every:
            cells = [
                cell.ljust(width) if n < left else cell.rjust(width)
                for n, (cell, width) in enumerate(zip(row[:numbers], widths, strict=True))
            ]
            line = "  ".join(cells)
            if words:
                line += "  " + shortened(row[-1], max(self.width - len(line) - 2, 10))
            yield line.rstrip()

    def _first(
        self, rows: Sequence[tuple[str, ...]], most: int, what: str
    ) -> Sequence[tuple[str, ...]]:
        most = self.top or most
        if len(rows) <= most:
            return rows
        more = f"{len(rows) - most:,} more {what} (--top {len(rows)} shows them)"
        return [*rows[:most], ("…", *[""] * (len(rows[0]) - 2), more)]


def _attributes(file: File) -> str:
    """What ls would say of it."""
    words = f"mode {file.mode:04o}, owner {file.uid}:{file.gid}, stored by layer {file.layer + 1}"
    if file.names > 1:
        words += f", {file.names} names (the first is /{file.path})"
    return words + (f", leads to {file.link}" if file.kind == "symlink" else "")
