"""The page of a report: its sums are the report's, and nothing in an image becomes markup."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import os
import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest

from overlaylab import Image
from overlaylab.draw import theme
from overlaylab.image import ImageLayer
from overlaylab.image import page as module
from overlaylab.image.page import page
from overlaylab.image.report import Report
from overlaylab.image.report import report as make_report
from overlaylab.text import human_text, printable

from ..nasty import nasty_names
from .test_report import image


@dataclass
class Read(HTMLParser):
    """A page as a browser reads it: its elements, and the text in each kind of element."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._in = [""]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self._in.append(dict(attrs).get("id") or tag)

    def handle_endtag(self, tag: str) -> None:
        self._in.pop()

    def handle_data(self, data: str) -> None:
        name = self._in[-1]
        self.texts[name] = self.texts.get(name, "") + data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")


def read(text: str) -> Read:
    reader = Read()
    reader.feed(text)
    reader.close()
    return reader


def data(text: str) -> Any:
    return json.loads(read(text).texts["data"])


@dataclass
class Sums:
    """What is in a directory of the data, counted anew from its files."""

    bytes: int = 0
    unseen: int = 0
    files: int = 0
    named: dict[str, tuple[int, ...]] = field(default_factory=dict)


def counted(directory: list[Any], path: str = "") -> Sums:
    """All that is in a directory; each one in it has the sums of what it holds."""
    name, size, unseen, files, entries = directory
    found = Sums()
    for entry in entries:
        if len(entry) == 5:
            inner = counted(entry, f"{path}{entry[0]}/")
            found.bytes += inner.bytes
            found.unseen += inner.unseen
            found.files += inner.files
            found.named |= inner.named
            continue
        first, bytes, *why = entry
        found.bytes += bytes
        found.unseen += bytes if why else 0
        found.files += 1 if isinstance(first, str) else first
        if isinstance(first, str):
            found.named[path + first] = (bytes, *why)
    assert (size, unseen, files) == (found.bytes, found.unseen, found.files), name
    return found


def layers(text: str) -> list[Sums]:
    return [counted(directory) for _, directory in data(text)["layers"]]


def some(files: int, seed: int = 1) -> Image:
    """Three layers with as many files each, of which the second deletes some, and a small one."""
    dice = random.Random(seed)
    paths = [f"usr/{dice.choice('abc')}/{dice.choice('defg')}/file{n}" for n in range(files)]
    first = [f"{path}={dice.randint(0, 300)}" for path in paths]
    second = [f"opt/{path}={dice.randint(0, 90)}" for path in paths]
    marks = [f"{path.rpartition('/')[0]}/.wh.{path.rpartition('/')[2]}" for path in paths[::3]]
    third = [f"{path}={dice.randint(0, 9)}" for path in paths[1::3]]
    return image(first, second + marks, third, ["etc/motd=1", "etc/empty"])


def same_sums(text: str, report: Report) -> None:
    """The page counts what the report counts, in each layer."""
    found = layers(text)
    assert [(one.bytes, one.unseen) for one in found] == report.stored_and_unseen()
    assert sum(one.bytes for one in found) == report.total_bytes
    assert sum(one.unseen for one in found) == report.reclaimable_bytes
    hidden = len(report.view.hidden)
    assert sum(one.files for one in found) == len(report.visible_files()) + hidden


# Sums


def test_every_file_is_there_with_its_layer_size_and_reason() -> None:
    text = page(image(["a=10", "d/b=5", "d/c=7"], [".wh.a", "d/b=6"], ["d/c=7"]).report(), "x")
    first, second, third = (one.named for one in layers(text))
    ways = data(text)["ways"]
    assert {path: (size, ways[why], by) for path, (size, why, by) in first.items()} == {
        "a": (10, "deleted", 1),
        "d/b": (5, "replaced", 1),
        "d/c": (7, "stored again", 2),
    }
    assert (second, third) == ({"d/b": (6,)}, {"d/c": (7,)})


@pytest.mark.parametrize("room", [module._MOST, 20_000, 2_000, 0])
def test_the_sums_are_those_of_the_report_however_little_room_there_is(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", room)
    report = some(600).report()
    text = page(report, "x")
    same_sums(text, report)
    assert len(read(text).texts["data"]) < room + 1_000


def test_small_files_are_one_entry_and_the_largest_keep_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MOST", 6_000)
    first, second, _, small = layers(page(some(600).report(), "x"))
    whole = counted(data_of_all(some(600).report())["layers"][0][1]).named
    least = min(size for size, *_ in first.named.values())
    assert 10 < len(first.named) < 200
    assert all(first.named[path] == whole[path] for path in first.named)
    assert sum(size > least for size, *_ in whole.values()) <= len(first.named)
    assert second.named, "every layer has a share of the room"
    assert set(small.named) == {"etc/motd", "etc/empty"}, "a small one has all its names"


def data_of_all(report: Report) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MOST", 10**9)
        return data(page(report, "x"))


def test_small_files_as_one_have_their_reason_if_they_have_one_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MOST", 0)
    text = page(image(["d/a=1", "d/b=2", "e=4"], [".wh.d"]).report(), "x")
    assert data(text)["layers"][0][1] == ["", 7, 3, 3, [[1, 4], [2, 3, 0, 1]]]
    text = page(image(["d/a=1", "d/b=2"], [".wh.d"], ["e=1"], ["e=2"]).report(), "x")
    assert data(text)["layers"][2][1][4] == [[1, 1, 1, 3]]
    text = page(image(["a=1", "b=2"], [".wh.a", "b=3"]).report(), "x")
    assert data(text)["layers"][0][1][4] == [[2, 3, -1, -1]]


def test_what_a_base_brings_is_left_out() -> None:
    report = dataclasses.replace(image(["a=10"], ["b=5"]).report(), base=1)
    text = page(report, "x")
    assert [one.bytes for one in layers(text)] == [0, 5]
    assert "RUN step 1" not in read(text).texts["th"]
    assert "RUN step 2" in read(text).texts["th"]


@pytest.mark.parametrize("what", [image(), image([]), image(["a"]), image(["a=0"], [".wh.a"])])
def test_an_image_without_bytes(what: Image) -> None:
    report = what.report()
    same_sums(page(report, "x"), report)


def test_directories_that_are_very_deep() -> None:
    report = image(["/".join("d" * 150) + "/a=10"], [".wh.d"]).report()
    same_sums(page(report, "x"), report)


# What is said


def test_the_figures_are_said_in_words() -> None:
    what = image(["a=3000000", "b=5"], [".wh.a"])
    what.tags, what.digest = ["me/app:1"], "sha256:12ab"
    texts = read(page(what.report(), "my <image>")).texts
    assert texts["h1"] == texts["title"] == "my <image>"
    assert "me/app:1 · linux/amd64 · sha256:12ab" in texts["p"]
    assert texts["dd"].startswith("3.00 MB" + "5 B" + "3.00 MB")
    assert "layer 2 (RUN step 2) deletes /a, which layer 1 (RUN step 1) stores" in texts["li"]
    assert "RUN step 1" in texts["th"]
    assert "3.00 MB in 2" in texts["td"]


def test_sizes_are_in_the_units_that_were_asked_for() -> None:
    report = image(["a=3145728", "b=5"], [".wh.a"]).report()
    for units, size in (("binary", "3.00 MiB"), ("bytes", "3,145,728 B"), ("decimal", "3.15 MB")):
        text = page(report, "x", units)  # type: ignore[arg-type]
        texts = read(text).texts
        assert texts["dd"].startswith(human_text(3145733, units) + "5 B" + size)  # type: ignore[arg-type]
        assert f"{size} in 1" in texts["td"]
        assert f"<li><strong>{size}</strong>" in text
        assert data(text)["units"] == units


def test_what_is_pushed_is_a_column_where_it_is_known() -> None:
    what = image(["a=3000"], ["b=5"])
    assert "pushed" not in read(page(what.report(), "x")).texts["th"]
    assert "pushed" in read(page(make_report(what, pushed=True), "x")).texts["th"]


def test_only_so_much_advice_is_given() -> None:
    names = [f"f{n:02}" for n in range(15)]
    report = image([f"{x}=400" for x in names], *[[f".wh.{x}"] for x in names]).report()
    text = read(page(report, "x")).texts["li"]
    assert text.count("deletes") == 12
    assert "… 3 more pieces of advice" in text
    assert "<li><strong>1.20 kB</strong> … 3 more" in page(report, "x")


def test_the_same_report_is_the_same_bytes() -> None:
    assert page(some(50).report(), "x") == page(some(50).report(), "x")


# What strangers wrote


def hostile(number: int = 300) -> Image:
    """An image whose paths, instructions and tags were chosen to hurt; every other file is gone."""
    names = [name for name in nasty_names(number) if not name.startswith(".wh.")]

    def layer(paths: list[str], called: str) -> ImageLayer:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in paths:
                info = tarfile.TarInfo(path)
                info.size = 0 if ".wh." in path[:6] else len(path)
                tar.addfile(info, io.BytesIO(b"x" * info.size))
        return ImageLayer(lambda: iter([buffer.getvalue()]), called)

    gone = [f".wh.{name}" for name in names[::2] if len(os.fsencode(name)) < 250]
    made = [layer([f"{one}/{one}" for one in names], names[0]), layer(gone, names[1])]
    history = [{"created_by": f"RUN {names[0]}{names[8]}"}, {"created_by": names[1]}]
    return Image(made, history=history, tags=names[:9])


def test_nothing_that_strangers_wrote_is_markup() -> None:
    plain = page(image(["a=5", "b=5"], [".wh.a"]).report(), "x")
    known = {(tag, name) for tag, attributes in read(plain).elements for name in attributes}
    text = page(hostile().report(), nasty_names()[0])
    elements = read(text).elements
    assert {(tag, name) for tag, attributes in elements for name in attributes} <= known
    assert [tag for tag, _ in elements].count("script") == 2
    inside = text.partition('id="data">')[2].partition("</script>")[0]
    assert "<" not in inside
    assert json.loads(inside)["layers"]


def test_names_are_printable_and_complete() -> None:
    report = hostile().report()
    names = {one.path for one in report.visible_files()}
    names |= {one.file.path for one in report.view.hidden}
    text = page(report, "x")
    assert {path for layer in layers(text) for path in layer.named} == set(map(printable, names))
    assert all(line.isprintable() for line in text.splitlines())
    text.encode()


def test_long_instructions_are_cut() -> None:
    what = image(["a=1"])
    what.history = [{"created_by": "RUN " + "x<" * 100_000}]
    assert len(page(what.report(), "x")) < 60_000


# What the page may do


def policy(text: str) -> dict[str, list[str]]:
    metas = [attributes for tag, attributes in read(text).elements if tag == "meta"]
    found = next(one["content"] for one in metas if "http-equiv" in one)
    return {name: values for name, *values in map(str.split, (found or "").split(";"))}


def test_the_policy_permits_the_script_and_the_styles_of_the_page_and_nothing_else() -> None:
    text = page(some(5).report(), "x")
    texts = read(text).texts

    def digest(part: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"

    assert policy(text) == {
        "default-src": ["'none'"],
        "script-src": [digest(texts["script"])],
        "style-src": [digest(texts["style"])],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "require-trusted-types-for": ["'script'"],  # no text becomes markup by a script either
    }
    styles = [tag for tag, attributes in read(text).elements if "style" in attributes]
    assert styles == []


def addresses(text: str) -> Iterator[str]:
    for _, attributes in read(text).elements:
        yield from (name for name in attributes if name in ("src", "href", "srcset", "action"))


def test_the_page_asks_for_nothing_else() -> None:
    text = page(some(5).report(), "x")
    assert list(addresses(text)) == []
    assert not any(word in text for word in ("http://", "https://", "url(", "@import", "innerHTML"))


def test_every_layer_has_a_hue_of_the_theme() -> None:
    """In turn, as the pictures of stacks have them, in both themes."""
    texts = read(page(some(5).report(), "x")).texts
    hues = len(theme.LOWERS)
    assert f"const HUES = {hues};" in texts["script"]
    assert all(f".{name} {{" in texts["style"] for name in (*theme.LOWERS, "merged"))
    for colours in (theme.LIGHT, theme.DARK):
        for name, colour in colours._asdict().items():
            assert f"--{name}:{colour};" in texts["style"]
