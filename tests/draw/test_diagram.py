"""The picture of a stack: the same state in words and as SVG."""

from __future__ import annotations

import base64
import html
import os
import re
import shutil
import sys
import sysconfig
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from overlaylab import Lab, Overlay
from overlaylab.draw import svg
from overlaylab.draw.picture import Diagram
from overlaylab.errors import BadPath
from overlaylab.pictures import COLUMNS

from ..rights import MARKS

SVG = "{http://www.w3.org/2000/svg}"

ENGINES = {
    "dot": shutil.which("dot"),
    "graphviz-pure": shutil.which("graphviz-pure", path=sysconfig.get_path("scripts"))
    or shutil.which("graphviz-pure"),
}

needs_engine = pytest.mark.skipif(not svg.engine(), reason="no Graphviz here")


@pytest.fixture
def web(lab: Lab) -> Overlay:
    """The state that DESIGN.md draws."""
    base = lab.layer("base", {"etc/motd": "base\n", "bin/sh": "sh", "var/cache/": None})
    app = lab.layer("app", {"etc/motd": "app\n"})
    web = lab.mount("web", lower=[app, base])
    with open(web.merged / "etc/motd", "r+") as motd:
        motd.write("edited\n")
    (web.merged / "var/cache").rmdir()
    (web.merged / "new.txt").write_text("hi\n")
    return web


def words(diagram: Diagram) -> str:
    """With a frame, to be compared line by line."""
    return "\n" + repr(diagram) + "\n"


def test_the_designs_own_picture(web: Overlay):
    assert (
        words(web.diagram("etc/motd", "bin/sh", "var/cache", "new.txt"))
        == """
         etc/motd       bin/sh   var/cache/   new.txt
merged   edited         sh       –            hi
upper    edited  ↑app   ·        ✕            hi  +
app      (app)          ·        ·            ·
base     (base)         sh       (dir)        ·
( ) hidden   ↑ copied up from   + added   ✕ whiteout   · nothing here   – not there for a process
"""
    )


def test_without_paths_every_leaf_has_a_column(web: Overlay):
    assert (
        words(web.diagram())
        == """
         bin/sh   etc/motd       new.txt   var/cache/
merged   sh       edited         hi        –
upper    ·        edited  ↑app   hi  +     ✕
app      ·        (app)          ·         ·
base     sh       (base)         ·         (dir)
( ) hidden   ↑ copied up from   + added   ✕ whiteout   · nothing here   – not there for a process
"""
    )


def test_every_kind_of_entry_has_its_words(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {"dir/old": "1", "hid": "x"})])
    web.sh(
        "rm -r dir; mkdir dir; rm hid; touch empty; printf 'a\\nb' > lines; ln -s to link\n"
        "head -c 5000 /dev/zero > big; mkfifo pipe; mkdir -p new/deep",
        check=True,
    )
    names = ("dir", "dir/old", "hid", "empty", "lines", "link", "big", "pipe", "new/deep", "none")
    drawn = web.diagram(*names)
    rows = {name: [cell.text for cell in cells] for name, cells in drawn.grid.bands}
    assert rows["merged"] == [
        "dir", "", "", "empty", "3 B", "→ to", "4 KiB + 904 B", "special", "dir", "",
    ]  # fmt: skip
    assert rows["upper"][0:3] == ["dir", "", "✕"]
    marks = [(cell.state, cell.mark) for cell in drawn.grid.bands[1][1]]
    assert marks == [
        ("visible", "opaque"),
        ("absent", ""),
        ("whiteout", ""),
        *[("visible", "added")] * 6,
        ("absent", ""),
    ]
    assert "⊘ opaque" in repr(drawn)


def test_a_file_made_over_a_whiteout_was_not_copied_from_below(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {"file": "old"})])
    (web.merged / "file").unlink()
    (web.merged / "file").write_text("new")
    assert (
        words(web.diagram("file"))
        == """
         file
merged   new
upper    new
base     (old)
( ) hidden
"""
    )


def test_what_an_opaque_directory_hides_is_hidden(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {"dir/old": "1"})])
    web.sh("rm -r dir; mkdir dir; echo x > dir/new", check=True)
    assert (
        words(web.diagram("dir", "dir/old", "dir/new"))
        == """
         dir/     dir/old   dir/new
merged   dir      –         x
upper    dir  ⊘   ·         x  +
base     (dir)    (1)       ·
( ) hidden   + added   ⊘ opaque   · nothing here   – not there for a process
"""
    )


def test_an_opaque_directory_over_nothing_is_just_added(lab: Lab):
    """Older kernels mark every new directory; the picture has to be the same on all."""
    web = lab.mount("web", lower=[lab.layer("base")])
    (web.merged / "new").mkdir()
    expected = repr(web.diagram())
    assert "dir  +" in expected
    web.unmount()
    os.setxattr(web.upper / "new", MARKS + "opaque", b"y")
    assert repr(web.diagram()) == expected


def test_a_read_only_stack_has_no_upper_band(lab: Lab):
    view = lab.mount("view", lower=[lab.layer("a", {"x": "1"}), lab.layer("b")], upper=False)
    assert words(view.diagram()) == (
        "\n         x\nmerged   1\na        1\nb        ·\n· nothing here\n"
    )


def test_an_empty_stack_has_bands_alone(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base")])
    assert words(web.diagram()) == "\n\nmerged\nupper\nbase\n"


def test_an_unmounted_stack_shows_what_merged_would_show(web: Overlay):
    before = repr(web.diagram())
    web.unmount()
    assert repr(web.diagram()) == before


def test_more_paths_than_fit_are_folded_and_counted(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {f"f{n:02}": "" for n in range(COLUMNS + 3)})])
    drawn = web.diagram()
    assert len(drawn.grid.paths) == COLUMNS
    assert drawn.grid.paths[-1] == "… 4 more"
    assert [cells[-1].text for _, cells in drawn.grid.bands] == ["…", "", "4 paths"]


def test_a_path_that_upper_has_is_not_folded_away(lab: Lab):
    many = {f"usr/f{n:02}": "" for n in range(30)}
    web = lab.mount("web", lower=[lab.layer("base", {"etc/motd": "", **many})])
    web.sh("echo x >> usr/f20")
    headings = web.diagram().grid.paths
    assert "usr/f20" in headings
    assert headings[-1] == f"usr/… {30 - (COLUMNS - 2)} more"


def test_an_opaque_directory_is_seen_even_if_its_content_is_folded(lab: Lab):
    many = {f"usr/f{n:02}": "" for n in range(30)}
    web = lab.mount("web", lower=[lab.layer("base", {f"e{n}": "" for n in range(8)} | many)])
    web.sh("rm -r usr; mkdir usr")
    assert "usr/" in web.diagram().grid.paths
    assert "⊘" in repr(web.diagram())


def test_named_paths_are_all_drawn_in_the_order_given(lab: Lab):
    names = [f"f{n:02}" for n in range(COLUMNS + 3)]
    web = lab.mount("web", lower=[lab.layer("base", dict.fromkeys(names, ""))])
    drawn = web.diagram(*reversed(names))
    assert drawn.grid.paths == names[::-1]


def test_a_diagram_shows_the_state_at_its_making(web: Overlay):
    drawn = web.diagram()
    before = repr(drawn), drawn.source
    (web.merged / "later").touch()
    assert (repr(drawn), drawn.source) == before
    assert "later" in repr(web.diagram())


def test_drawing_changes_nothing(web: Overlay):
    before = web.changes()
    web.diagram().svg()
    assert web.changes() == before


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "", "a//b"])
def test_a_path_that_leaves_merged_is_refused(web: Overlay, path: str):
    with pytest.raises(BadPath, match=": "):
        web.diagram(path)


def test_the_bands_of_layers_with_telling_names_stay_apart(lab: Lab):
    """A lower may be called "merged" or "upper"; it is still a lower."""
    stack = [lab.layer("merged", {"a": "1"}), lab.layer("upper", {"b": "2"})]
    web = lab.mount("web", lower=stack)
    assert words(web.diagram()) == (
        "\n         a   b\nmerged   1   2\nupper    ·   ·\nmerged   1   ·\nupper    ·   2\n"
        "· nothing here\n"
    )


def test_lowers_of_one_name_are_told_apart(directory: Path):
    """As Docker's are, which are all called "diff"."""
    stack = [directory / number / "diff" for number in ("1", "2")]
    for path in (*stack, directory / "upper"):
        path.mkdir(parents=True)
    (stack[1] / "file").write_text("old")
    with Lab("test", backend="kernel") as lab:
        web = lab.mount("web", lower=stack)
        with open(web.merged / "file", "a") as file:
            file.write("!")
        edges = [line.strip() for line in web.diagram("file").source.splitlines() if "->" in line]
        assert edges[0].startswith("c3_0 -> "), "the arrow comes from the lower that has the file"


# As SVG.


def texts(picture: str) -> Counter[str]:
    """The labels of a picture; Graphviz writes some spaces as no-break spaces."""
    root = ET.fromstring(picture)
    found = ("".join(text.itertext()) for text in root.iter(f"{SVG}text"))
    return Counter(label.replace("\xa0", " ") for label in found)


def structure(picture: str) -> tuple[Counter[str], Counter[str], str]:
    """What has to be the same in the pictures of all engines."""
    root = ET.fromstring(picture)
    classes = Counter(group.get("class", "") for group in root.iter(f"{SVG}g"))
    return texts(picture), classes, root.get("aria-label", "")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    program = ENGINES[request.param]
    if program is None:
        pytest.skip(f"no {request.param} here")
    monkeypatch.setattr(svg, "engine", lambda: program)
    return program


@pytest.mark.skipif(not ENGINES["graphviz-pure"], reason="no graphviz-pure here")
def test_a_dot_without_the_layout_is_passed_over(directory: Path, monkeypatch: pytest.MonkeyPatch):
    """As Debian's since Graphviz 14, where nobody installed what the package recommends."""
    dot = directory / "dot"
    dot.write_text("#!/bin/sh\necho no neato here >&2\nexit 1\n")
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)
    engine = svg.engine.__wrapped__()
    assert engine
    assert Path(engine).name == "graphviz-pure"


def test_a_box_of_merged_has_the_hue_and_the_number_of_the_layer_that_answers(lab: Lab):
    layers = [lab.layer(name, {"both": name, name: "x"}) for name in ("app", "base")]
    web = lab.mount("web", lower=layers)
    web.sh("echo x > new; rm app; mkdir dir")
    drawn = web.diagram("both", "base", "new", "app", "dir", "none")
    merged = drawn.grid.bands[0][1]
    assert [cell.answered_by for cell in merged] == [2, 3, 1, 0, 1, 0]
    lines = {line.split()[0]: line for line in drawn.source.splitlines() if " [" in line}
    for column, cell in enumerate(merged):
        band = cell.answered_by
        assert (f"l0_{column}" in lines) == bool(band)
        if band:
            fill = re.search('fillcolor="#[0-9a-f]+"', lines[f"b{band}"])
            assert fill
            assert fill[0] in lines[f"c0_{column}"]
            for number in (f"l{band}", f"l0_{column}"):
                assert f"[label={band} " in lines[number]


@pytest.mark.parametrize("path", ["a/b", "a", "none"])
def test_no_column_moves_when_a_look_up_is_drawn(lab: Lab, path: str):
    web = lab.mount("web", lower=[lab.layer("base", {"a/b": "x", "c": "y", "d": "z"})])
    grid = web.diagram("a/b", "a", "c", "d", "none").grid
    before = re.findall(r"\t([cbhnd]\w+) \[.*pos=(\S+)", Diagram(grid).source)
    asked = Diagram(replace(grid, probe=web.lookup(path)))
    assert re.findall(r"\t([cbhnd]\w+) \[.*pos=(\S+)", asked.source) == before
    assert "class=probe" in asked.source


def test_the_picture_has_a_label_for_every_cell(web: Overlay, engine: str):
    drawn = web.diagram("etc/motd", "bin/sh", "var/cache", "new.txt")
    labels = "etc/|motd|bin/|sh|var/|cache/|new.txt"
    labels += "|merged|edited|sh|–|hi"
    labels += "|upper|edited  ↑app|·|✕|hi  +"
    labels += "|app|(app)|·|·|·"
    labels += "|base|(base)|sh|(dir)|·"
    numbers = "1|2|3|" + "1|3|1"  # of the layers, then of the boxes of merged
    shown = texts(drawn.svg())
    legend = shown - Counter(f"{labels}|{numbers}".split("|"))
    assert shown - legend == Counter(f"{labels}|{numbers}".split("|"))
    # How many signs are in a line depends on the width of the picture.
    signs = sorted(sign for line in legend for sign in line.split("   "))
    known = "( ) hidden|↑ copied up from|+ added|✕ whiteout|· nothing here"
    known += "|– not there for a process|number: the layer that answers"
    assert signs == sorted(known.split("|"))


def test_the_picture_says_in_words_what_it_shows(web: Overlay, engine: str):
    drawn = web.diagram()
    root = ET.fromstring(drawn.svg())
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root.get("aria-label").split() == repr(drawn).split()


def test_the_picture_has_no_title_that_pops_up_and_no_version(web: Overlay, engine: str):
    picture = web.diagram().svg()
    assert "<title" not in picture
    assert "<!--" not in picture
    assert not picture.startswith("<?xml")


def test_all_engines_draw_the_same(web: Overlay, monkeypatch: pytest.MonkeyPatch):
    drawn = web.diagram()
    seen = []
    for program in filter(None, ENGINES.values()):
        monkeypatch.setattr(svg, "engine", lambda program=program: program)
        seen.append(structure(drawn.svg()))
    if len(seen) < 2:
        pytest.skip("there is one engine here, or none")
    assert seen[0] == seen[1]


NASTY = {
    "quotes": """it's "quoted" """,
    "markup": "<script>alert(1)</script>",
    "looks like an HTML label": "<b>bold</b>",
    "an entity": "&amp;&lt;&#0;&nosuch;",
    "the end of CDATA": "]]>",
    "a comment": "<!-- -- -->",
    "a title": "<title>x</title>",
    "a newline": "two\nlines",
    "a backslash": r"\N \G \l end\\",
    "DOT": '"]; node [label="x',
    "right to left": "שלום",
    "an override of direction": "a\u202eb",
    "emoji": "🐳👩‍👩‍👧",
    "combining": "e\u0301",
    "control characters": "a\x01\x1b[31mb\x7f",
    "no UTF-8": os.fsdecode(b"\xff\xfe"),
    "no-break space": "a\xa0b",
    "a very long name": "n" * 255,
    "a very long name of wide letters": "漢" * 85,
    "a percent sign and braces": "%s {0} ${x} {a|b}",
    "not a character": "\ufffe\uffff",
}


@needs_engine
@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY.keys())
def test_any_file_name_gives_a_well_formed_picture(lab: Lab, engine: str, name: str):
    file_name = name.replace("/", "")
    web = lab.mount("web", lower=[lab.layer("base", {file_name: "x"})])
    with open(web.merged / file_name, "a") as file:
        file.write("y")
    drawn = web.diagram()
    labels = texts(drawn.svg())
    shown = svg._clip(drawn.grid.paths[0])
    assert shown in labels or "  " in file_name or "\xa0" in file_name
    assert labels["xy"] == 1
    assert len(repr(drawn).splitlines()) == 5


@needs_engine
@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY.keys())
def test_any_content_and_any_link_gives_a_well_formed_picture(lab: Lab, engine: str, text: str):
    base = lab.layer("base", {"file": os.fsencode(text), "short": os.fsencode(text[:6])})
    (base.path / "link").symlink_to(text)
    drawn = lab.mount("web", lower=[base]).diagram()
    assert texts(drawn.svg())["file"] == 1
    assert len(repr(drawn).splitlines()) == 5


@needs_engine
@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY.keys())
def test_any_layer_name_gives_a_well_formed_picture(lab: Lab, engine: str, name: str):
    layer = lab.layer(name.replace("/", ""), {"file": "x"})
    web = lab.mount("web", lower=[layer])
    with open(web.merged / "file", "a") as file:
        file.write("y")
    drawn = web.diagram()
    assert texts(drawn.svg())["file"] == 1
    assert len(repr(drawn).splitlines()) == 5


# In a notebook.


@needs_engine
def test_a_notebook_gets_words_and_picture(web: Overlay):
    bundle = web.diagram()._repr_mimebundle_(include=None, exclude=None)
    assert bundle.keys() == {"text/plain", "text/html"}
    assert bundle["text/plain"] == repr(web.diagram())
    image, _, words = bundle["text/html"].partition("<details>")
    data = image.partition("base64,")[2].partition('"')[0]
    assert ET.fromstring(base64.b64decode(data)).tag == f"{SVG}svg"
    assert html.escape(repr(web.diagram())) in words


@needs_engine
def test_an_image_follows_a_dark_theme_and_stays_large_enough_to_read(web: Overlay):
    shown = web.diagram()._repr_mimebundle_()["text/html"]
    picture = base64.b64decode(shown.partition("base64,")[2].partition('"')[0]).decode()
    assert "@media (prefers-color-scheme: dark)" in picture
    assert "color-scheme: dark" in shown.partition("<img")[0], "where JupyterLab says so"
    width = re.search(r'viewBox="0.00 0.00 (\d+)', picture)
    assert width
    assert f"min-width:{width[1]}px" in shown


def test_without_an_engine_a_notebook_gets_words(web: Overlay, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(svg, "engine", lambda: None)
    drawn = web.diagram()
    assert drawn.svg() is None
    assert drawn._repr_mimebundle_() == {"text/plain": repr(drawn)}


def test_without_the_course_extra_a_notebook_gets_words(
    web: Overlay, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "graphviz", None)
    drawn = web.diagram()
    assert drawn._repr_mimebundle_() == {"text/plain": repr(drawn)}


def test_a_dot_on_path_is_preferred_and_graphviz_pure_the_other(
    directory: Path, monkeypatch: pytest.MonkeyPatch
):
    (directory / "dot").write_text("#!/bin/sh\n")
    (directory / "dot").chmod(0o755)
    try:
        monkeypatch.setenv("PATH", str(directory))
        svg.engine.cache_clear()
        assert svg.engine() == str(directory / "dot")
        (directory / "dot").unlink()
        svg.engine.cache_clear()
        assert svg.engine() == shutil.which("graphviz-pure", path=sysconfig.get_path("scripts"))
    finally:
        svg.engine.cache_clear()


def test_a_file_replaced_more_than_once_has_no_arrow(lab: Lab):
    """As ``sed -i`` does; the second time it may get the inode number of the copy."""
    web = lab.mount("web", lower=[lab.layer("base", {"file": "x"})])
    with open(web.merged / "file", "r+"):
        pass
    assert "↑base" in repr(web.diagram())
    for text in ("1", "2", "3"):
        (web.merged / "new").write_text(text)
        (web.merged / "new").rename(web.merged / "file")
    assert "↑" not in repr(web.diagram())


def test_a_file_moved_away_and_back_keeps_its_arrow(lab: Lab):
    web = lab.mount("web", lower=[lab.layer("base", {"file": "x"})])
    (web.merged / "file").rename(web.merged / "away")
    (web.merged / "away").rename(web.merged / "file")
    assert "↑base" in repr(web.diagram())


def test_a_picture_says_who_mounted_the_stack(lab: Lab, backend: str):
    web = lab.mount("web", lower=[lab.layer("base", {"a": "x"})])
    shown = web.diagram()._repr_mimebundle_()
    said = {"kernel": "A real overlay mount", "emulated": "A stand-in, not a mount"}
    assert [name for name, words in said.items() if words in shown["text/html"]] == [backend]
    assert not any(words in shown["text/plain"] for words in said.values())
    web.unmount()
    assert "mount" not in web.diagram()._repr_mimebundle_()["text/html"].partition("<details>")[0]
