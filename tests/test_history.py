"""What is remembered of an overlay: a step for every script and commit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from overlaylab import Lab, Overlay, history
from overlaylab.draw.picture import Diagram
from overlaylab.errors import ShellTimeout
from overlaylab.pictures import diagrams

from .helpers import names


@pytest.fixture
def web(lab: Lab) -> Overlay:
    return lab.mount("web", lower=[lab.layer("base", {"etc/motd": "base\n", "big": b"x" * 9000})])


def whats(overlay: Overlay) -> list[str]:
    return [step.what for step in overlay.history]


def test_the_first_step_is_the_mount(web: Overlay):
    assert whats(web) == ["mounted"]
    assert web.history[0].changes == []


def test_every_script_and_commit_is_a_step(web: Overlay):
    web.sh("rm etc/motd")
    web.sh("ls")
    web.commit("v2")
    assert whats(web) == ["mounted", "rm etc/motd", "ls", "commit v2"]
    assert [len(step.changes) for step in web.history] == [0, 1, 1, 1]


def test_what_python_did_in_between_is_a_step(web: Overlay):
    (web.merged / "new").write_text("1")
    web.sh("rm etc/motd")
    (web.merged / "new").unlink()
    assert whats(web) == ["mounted", "Python", "rm etc/motd", "Python"]


def test_looking_adds_no_step(web: Overlay):
    web.sh("rm etc/motd")
    for _ in range(2):
        web.changes()
        web.diagram()
        assert whats(web) == ["mounted", "rm etc/motd"]


def test_a_script_that_was_stopped_is_a_step(web: Overlay):
    with pytest.raises(ShellTimeout):
        web.sh("rm etc/motd; sleep 60", timeout=1)
    assert whats(web) == ["mounted", "rm etc/motd; sleep 60"]


def test_a_read_only_overlay_has_no_history(lab: Lab):
    view = lab.mount("view", lower=[lab.layer("a"), lab.layer("b")], upper=False)
    view.sh("ls")
    assert view.history == []


def test_an_attached_overlay_has_no_history(web: Overlay):
    attached = Overlay.attach(lower=web.lower, upper=web.upper)
    assert attached.history == []


def test_it_outlives_the_mount(web: Overlay):
    web.sh("rm etc/motd")
    web.unmount()
    assert whats(web) == ["mounted", "rm etc/motd"]
    assert [str(picture) for _, picture in diagrams(web.history, web.lower)][-1].count("✕") == 2


def test_it_is_printed_with_what_each_step_moved(web: Overlay):
    web.sh("rm etc/motd\necho x > new")
    web.sh("rm new")
    assert repr(web.history) == (
        "0  mounted\n"
        "1  rm etc/motd; echo x > new  whiteout  etc/motd\n"
        "                              added     new       2 B\n"
        "2  rm new                     gone      new"
    )


def test_a_sketch_keeps_no_data_of_large_files(web: Overlay):
    """Not 64 MiB for each step of lesson 03."""
    web.sh("echo >> big; echo >> etc/motd")
    sketch = web.history[-1].upper
    assert sketch is not None
    assert (sketch.path / "big").stat().st_size == 9001
    assert (sketch.path / "big").stat().st_blocks == 0
    assert (sketch.path / "etc/motd").read_text() == "base\n\n"


def test_a_large_upper_is_not_kept(web: Overlay, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history, "_CHANGES", 3)
    web.sh("touch 1 2 3")
    web.sh("touch 4")
    assert [step.upper is None for step in web.history] == [False, False, True]
    assert len(diagrams(web.history, web.lower)) == 2


def test_of_many_steps_the_first_are_forgotten(web: Overlay, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history, "_STEPS", 3)
    for number in range(5):
        web.sh(f"touch {number}")
    assert whats(web) == ["touch 2", "touch 3", "touch 4"]
    kept = Path(web.history[0].upper.path).parent
    assert names(kept) == ["3/", "3/0", "3/1", "3/2", "4/", *(f"4/{n}" for n in range(4)), "5/"] + [
        f"5/{n}" for n in range(5)
    ]


def test_without_room_a_step_has_no_sketch(web: Overlay, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(history, "copy_tree", full)
    assert web.sh("touch new").returncode == 0
    assert web.history[-1].upper is None
    assert whats(web)[-1] == "touch new"


def test_the_pictures_of_all_steps_have_the_same_columns(web: Overlay):
    web.sh("rm etc/motd")
    web.sh("mkdir new; touch new/a")
    web.sh("rm -r new")
    pictures = [picture.grid for _, picture in diagrams(web.history, web.lower)]
    assert len({tuple(grid.paths) for grid in pictures}) == 1
    assert len({tuple(name for name, _ in grid.bands) for grid in pictures}) == 1


def test_a_picture_marks_what_its_step_changed_and_what_it_hid(web: Overlay):
    """What is below never changes."""
    web.sh("rm etc/motd")
    web.sh("ls")
    web.sh("echo new > etc/motd")
    marked = [
        {
            (name, path): cell.news
            for name, cells in picture.grid.bands
            for path, cell in zip(picture.grid.paths, cells, strict=True)
            if cell.news
        }
        for _, picture in diagrams(web.history, web.lower)
    ]
    changed = {("merged", "etc/motd"): "changed", ("upper", "etc/motd"): "changed"}
    assert marked == [{}, {**changed, ("base", "etc/motd"): "now hidden"}, {}, changed]


def test_what_was_copied_up_is_hidden_below_and_not_changed(web: Overlay):
    web.sh("echo more >> etc/motd")
    *_, (_, picture) = diagrams(web.history, web.lower)
    *_, base = repr(picture).split("\n( )")[0].splitlines()
    assert "(base)  ◦" in base
    assert "•" not in base
    assert "◦ now hidden" in repr(picture)


def places(picture: Diagram) -> dict[str, tuple[str, str]]:
    """Where everything stands in a picture, and how wide; but halos and numbers come and go."""
    nodes = re.findall(r'\t(\w+) \[.*pos="(.*?)".* width=([0-9.]+)', picture.source)
    return {name: (pos, width) for name, pos, width in nodes if not re.match(r"[ax]|l\d", name)}


def test_the_pictures_of_all_steps_have_one_layout(web: Overlay):
    """So that what moves from one to the next is what happened."""
    web.sh("echo a much longer text > etc/motd")
    web.sh("rm etc/motd")
    web.sh("rm -r etc; mkdir etc; touch etc/another-name")
    first, *others = (places(picture) for _, picture in diagrams(web.history, web.lower))
    assert first.keys() >= {"b0", "n0", "c1_0", "h0", "legend"}
    assert all(other == first for other in others)


def test_a_picture_of_the_past_is_what_the_picture_was_then(web: Overlay):
    """Arrows, opaque marks and hidden files included: a sketch has all that is drawn."""
    taken = []
    for script in (
        "echo x >> etc/motd",
        "rm big",
        "rm -r etc; mkdir etc",
        "mkfifo pipe; ln -s a b",
    ):
        web.sh(script)
        paths = ("big", "etc", "etc/motd", "pipe", "b")
        taken.append([cells for _, cells in web.diagram(*paths).grid.bands])
    for number, (step, _) in enumerate(diagrams(web.history, web.lower)[1:]):
        assert step.upper is not None
        past = Overlay.attach(lower=web.lower, upper=step.upper.path)
        assert [cells for _, cells in past.diagram(*paths).grid.bands] == taken[number]
