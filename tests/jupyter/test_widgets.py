"""What the widgets do on the kernel's side; tests/browser looks at the other side."""

from __future__ import annotations

import html.parser
import xml.etree.ElementTree as ET

import ipywidgets
import pytest

from overlaylab import Image, Lab, Overlay
from overlaylab.course.practice.quiz import quiz
from overlaylab.errors import NotShown
from overlaylab.jupyter import explore, timeline
from overlaylab.jupyter.widgets.explorer import Explorer
from overlaylab.jupyter.widgets.image_explorer import ImageExplorer

from ..nasty import nasty_names
from ..rights import REAL_ROOT

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def web(lab: Lab) -> Overlay:
    base = lab.layer("base", {"etc/motd": "base\n", "etc/hosts": "localhost\n", "bin/sh": "sh"})
    web = lab.mount("web", lower=[lab.layer("app", {"etc/motd": "app\n"}), base])
    web.sh("rm etc/hosts; echo hi > new")
    return web


def tags(text: str) -> set[str]:
    """The elements in a piece of HTML."""
    found: set[str] = set()

    class Parser(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            found.add(tag)

    Parser().feed(text)
    return found


def choose(explorer: Explorer, heading: str) -> None:
    """What a click on a heading sends."""
    picture = explorer._picture
    name = next(name for name, label in picture.labels.items() if label == heading)
    picture._handle_custom_msg({"chosen": name}, [])


def stops(explorer: Explorer) -> int:
    """How many stops the look-up in the picture has; the question counts as one."""
    return explorer._picture.svg.count('class="node stop"')


# The layer explorer


def test_it_begins_with_the_diagram_and_an_invitation(web: Overlay):
    explorer = explore(web)
    assert stops(explorer) == 0
    assert "Choose a path" in explorer._note.value
    assert explorer._picture.labels["h1"] == "etc/hosts"
    assert explorer._picture.labels["c1_1"] == "etc/hosts in upper: ✕"


def test_a_click_asks_for_the_path(web: Overlay):
    explorer = explore(web)
    choose(explorer, "etc/motd")
    assert explorer._asked.value == "etc/motd"
    assert stops(explorer) == 3, "the question, upper, app"
    assert "app" in explorer._note.value
    assert explorer._picture.chosen == "h2"


def test_a_typed_path_need_not_be_in_the_picture(web: Overlay):
    explorer = explore(web)
    explorer._asked.value = "etc/nothing"
    assert explorer._grid.paths[-1] == "etc/nothing", "the last, so that no other moves"
    assert stops(explorer) == 4, "the question, and all three layers: a miss asks everybody"


def test_a_bad_path_gets_its_sentence_and_the_picture_stays(web: Overlay):
    explorer = explore(web)
    before = explorer._picture.svg
    explorer._asked.value = "../etc"
    assert "leads out of it" in explorer._note.value
    assert explorer._picture.svg == before


def test_it_shows_content_stat_and_xattrs(web: Overlay):
    explorer = explore(web)
    explorer.ask("etc/motd")
    assert "<pre>base</pre>" in explorer._note.value
    assert "-rw-r--r-- 0:0" in explorer._note.value or "-rw-r--r-- " in explorer._note.value
    assert "hidden, not asked" in explorer._note.value


@pytest.mark.skipif(not REAL_ROOT, reason="redirect_dir needs the root of the machine")
def test_what_lies_behind_a_renamed_directory_is_shown(kernel_lab: Lab):
    """The lower has it under the directory's old name."""
    base = kernel_lab.layer("base", {"old/file": "text\n"})
    web = kernel_lab.mount("web", lower=[base], options={"redirect_dir": "on"})
    (web.merged / "old").rename(web.merged / "new")
    explorer = explore(web)
    explorer.ask("new/file")
    assert "<pre>text</pre>" in explorer._note.value
    assert "answers, as old/file" in explorer._note.value


def test_without_hidden_entries(web: Overlay):
    explorer = explore(web)
    assert "(localhost)" in explorer._picture.svg
    explorer._hidden.value = False
    assert "(localhost)" not in explorer._picture.svg


def test_it_follows_the_cells_that_run(web: Overlay):
    explorer = explore(web)
    (web.merged / "later").touch()
    explorer.after_cell()
    assert "later" in explorer._grid.paths
    explorer._live.value = False
    (web.merged / "much-later").touch()
    explorer.after_cell()
    assert "much-later" not in explorer._grid.paths
    explorer._live.value = True
    assert "much-later" in explorer._grid.paths


def test_what_did_not_change_is_not_drawn_again(web: Overlay):
    explorer = explore(web)
    drawn = explorer._diagram
    explorer.after_cell()
    assert explorer._diagram is drawn


def test_a_fold_is_unfolded_by_a_click(lab: Lab):
    big = lab.mount("big", lower=[lab.layer("base", {f"d/{n:03}": "" for n in range(100)})])
    explorer = explore(big)
    before = len(explorer._grid.paths)
    choose(explorer, explorer._grid.paths[-1])
    assert len(explorer._grid.paths) > before
    for _ in range(20):
        if "more" not in explorer._grid.paths[-1]:
            break
        choose(explorer, explorer._grid.paths[-1])
    assert len(explorer._grid.paths) == 100


def test_after_the_lab_it_answers_from_what_it_saw(web: Overlay):
    explorer = explore(web)
    assert web.lab is not None
    web.lab.close()
    choose(explorer, "etc/motd")
    assert stops(explorer) == 3
    assert "<pre>base</pre>" in explorer._note.value
    explorer._asked.value = "never/seen"
    assert "lab is closed" in explorer._note.value


@pytest.mark.parametrize("sent", [{}, {"chosen": "h99"}, {"chosen": "x"}, {"chosen": ""}])
def test_a_strange_message_does_nothing(web: Overlay, sent: dict[str, str]):
    explorer = explore(web)
    before = explorer._picture.svg
    explorer._picture._handle_custom_msg(sent, [])
    assert explorer._picture.svg == before


# The time line


def test_it_begins_at_the_last_step(web: Overlay):
    line = timeline(web)
    assert line._steps.value == line._steps.last == 1
    assert "rm etc/hosts; echo hi &gt; new" in line._note.value
    assert "whiteout" in line._note.value


def test_scrubbing_shows_the_step(web: Overlay):
    line = timeline(web)
    after = line._picture.svg
    line._steps.value = 0
    assert "mounted" in line._note.value
    assert line._picture.svg != after
    line._steps.value = 1
    assert line._picture.svg == after


def test_there_is_no_step_beyond_the_ends(web: Overlay):
    line = timeline(web)
    for wanted, shown in ((7, "Step 1 of 1"), (-1, "Step 0 of 1")):
        line._steps.value = wanted
        assert shown in line._note.value


def test_it_needs_neither_mount_nor_lab_once_it_is_made(web: Overlay):
    web.unmount()
    line = timeline(web)
    assert web.lab is not None
    web.lab.close()
    line._steps.value = 0
    assert ">✕<" not in line._picture.svg


def test_before_anything_happened_there_is_a_sentence(lab: Lab):
    view = lab.mount("view", lower=[lab.layer("a"), lab.layer("b")], upper=False)
    assert "Nothing has happened yet" in timeline(view)._note.value


# The image explorer


@pytest.fixture
def image(lab: Lab) -> Image:
    base = lab.layer("image", {"bin/app": "x" * 50, "etc/conf": "1" * 9})
    box = lab.mount("box", lower=[base])
    box.sh("rm bin/app; head -c 100 /dev/zero > data")
    return Image.from_layers([base, box.commit("work")])


def rows(explorer: ImageExplorer) -> list[str]:
    """The paths of the table, in order."""
    table = ET.fromstring("<x>" + explorer._table.value.partition("<table>")[2][:-8] + "</x>")
    return [row[1].text or "" for row in table[1:]]


def test_files_come_the_largest_first(image: Image):
    assert rows(explore(image)) == ["data", "bin/app", "etc/conf"]


def test_a_file_that_nobody_sees_has_its_reason(image: Image):
    assert "image stores it; work deletes it" in explore(image)._table.value


def test_filters_leave_out_the_others(image: Image):
    explorer = explore(image)
    explorer._part.value = "bin"
    assert rows(explorer) == ["bin/app"]
    explorer._part.value = ""
    explorer._layer.value = 1
    assert rows(explorer) == ["data"]
    explorer._layer.value = None
    explorer._unseen.value = True
    assert rows(explorer) == ["bin/app"]
    explorer._part.value = "nothing has this name"
    assert rows(explorer) == []


def test_its_figures_are_the_reports(image: Image):
    report = image.report()
    explorer = explore(image)
    assert sum(bar.stored for bar in explorer._chart.bars) == report.total_bytes
    assert sum(bar.visible for bar in explorer._chart.bars) == report.visible_bytes
    assert sum(one.size for one in report.visible_files()) == report.visible_bytes


# Static faces: what is left without a kernel


def test_every_widget_has_a_static_face(web: Overlay, image: Image):
    words = {
        "explorer": (explore(web), "✕"),
        "time line": (timeline(web), "rm etc/hosts"),
        "image": (explore(image), "reclaimable"),
        "quiz": (quiz("03"), "1. "),
    }
    for name, (widget, expected) in words.items():
        assert isinstance(widget, ipywidgets.Widget)
        face = widget._repr_mimebundle_()
        assert VIEW in face, name
        assert expected in face["text/plain"], name
        assert "picture" not in face["text/plain"], name
    for widget in (explore(web), timeline(web), explore(image)):
        assert '<img alt="A picture' in widget._repr_mimebundle_()["text/html"]


# A thousand names


OURS = {"p", "table", "tr", "th", "td", "pre", "br", "code"}


def test_any_name_in_any_widget_stays_text(lab: Lab):
    """Valid DOT (the engine takes it), well-formed SVG, and no element that is not ours."""
    names = nasty_names()
    base = lab.layer("base", dict.fromkeys(names[::2], "x" * 5))
    web = lab.mount("web", lower=[base])
    for name in names[1::2]:
        (web.merged / name).write_text(name, errors="surrogateescape")
    for name in names[:200:2]:
        (web.merged / name).unlink()
    explorer = explore(web)
    explorer._shown[""] = len(names) + 1
    explorer.refresh()
    assert len(explorer._grid.paths) == len(names)
    ET.fromstring(explorer._picture.svg)
    for name in names:
        assert tags(explorer._answers[name][1]) <= OURS
    explorer.ask(names[-1])
    ET.fromstring(explorer._picture.svg)
    line = timeline(web)
    ET.fromstring(line._picture.svg)
    assert tags(line._note.value) <= OURS
    image = Image.from_layers([base, web.commit("work")], created_by=names[:2])
    for shown in (web.changes(), web.history, web.lookup(names[0]), web.tree(), image.report()):
        assert tags(shown._repr_mimebundle_()["text/html"]) <= {*OURS, "div"}
    images = explore(image)
    assert tags(images._table.value) <= OURS
    ET.fromstring(images._chart.svg())


# What is given wrongly


def test_what_is_no_stack_or_image_is_not_explored(web: Overlay):
    for wrong in (5, "web", web.lower[0]):
        with pytest.raises(NotShown, match=r"cannot be explored: give an overlay, .* or an image"):
            explore(wrong)


def test_only_an_overlay_has_a_history_to_go_through(web: Overlay):
    for wrong in (5, web.lower[0]):
        with pytest.raises(NotShown, match=r"has no history: give an overlay"):
            timeline(wrong)
    timeline(web)
    timeline(web)  # the first call imported a module
