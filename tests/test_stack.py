"""A stack is looked at once, and then asked: how often that costs a refresh or a reading."""

from __future__ import annotations

from collections import Counter

import pytest

import overlaylab.layer
import overlaylab.stack
from overlaylab import Lab, Overlay
from overlaylab.backends.emulated import EmulatedMount
from overlaylab.backends.kernel import KernelMount
from overlaylab.errors import LabClosed, NotMounted
from overlaylab.jupyter import explore
from overlaylab.pictures import diagram


@pytest.fixture
def web(lab: Lab) -> Overlay:
    """A stack with 50 files, one of which was changed."""
    web = lab.mount(
        "web", lower=[lab.layer("base", {f"dir{n % 5}/file{n}": "x" for n in range(50)})]
    )
    web.sh("echo y > dir0/file0; rm dir1/file1")
    return web


class Counted:
    """How often a stack was refreshed, its upper read, and each place of a layer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refreshed = self.read = 0
        self.places = Counter[str]()
        for kind in (KernelMount, EmulatedMount):
            monkeypatch.setattr(kind, "refresh", self._refreshing(kind.refresh))
        read_changes, read_entry = overlaylab.stack.read_changes, overlaylab.layer.read_entry

        def changes(*arguments: object) -> object:
            self.read += 1
            return read_changes(*arguments)

        def entry(place: str, *arguments: object, **options: object) -> object:
            self.places[place] += 1
            return read_entry(place, *arguments, **options)

        monkeypatch.setattr(overlaylab.stack, "read_changes", changes)
        monkeypatch.setattr(overlaylab.layer, "read_entry", entry)

    def _refreshing(self, refresh: object) -> object:
        def counting(mount: object) -> None:
            self.refreshed += 1
            refresh(mount)

        return counting

    @property
    def costs(self) -> tuple[int, int]:
        """Refreshes and readings since this was asked for the last time."""
        found = self.refreshed, self.read
        self.refreshed = self.read = 0
        return found


@pytest.fixture
def counted(web: Overlay, monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def test_a_script_costs_a_look_before_it_and_one_after_it(web: Overlay, counted: Counted):
    """The first finds what Python did meanwhile, which is not the script's."""
    web.sh("touch new")
    assert counted.costs == (2, 2)


def test_a_diagram_costs_one_refresh(web: Overlay, counted: Counted):
    web.diagram()
    assert counted.costs == (1, 0)


def test_a_diagram_reads_each_entry_once(web: Overlay, counted: Counted):
    stack = web.stack()
    counted.places.clear()  # the stand-in has looked for what it refreshes
    diagram(stack)
    assert len(counted.places) > 50
    assert set(counted.places.values()) == {1}


def test_an_explorer_costs_one_refresh_after_a_cell(web: Overlay, counted: Counted):
    explorer = explore(web)
    explorer.ask("dir0/file0")
    _ = counted.costs
    explorer.after_cell()
    assert counted.costs == (1, 0)


def test_a_commit_reads_upper_once(web: Overlay, counted: Counted):
    web.commit("v2")
    assert counted.costs == (1, 1)


def test_what_is_no_question_costs_nothing(web: Overlay, counted: Counted):
    _ = repr(web), web.lower, web.mounted, web.writable, web.merged, web.prefixes
    assert counted.costs == (0, 0)


def test_many_questions_to_one_stack_cost_one_refresh(web: Overlay, counted: Counted):
    stack = web.stack()
    stack.changes(), stack.lookup("dir0/file0"), stack.tree("base"), stack.tree("upper")
    assert counted.costs == (1, 1)


def test_a_script_without_a_mount_costs_nothing(web: Overlay, counted: Counted):
    web.unmount()
    _ = counted.costs
    with pytest.raises(NotMounted):
        web.sh("touch new")
    assert counted.costs == (0, 0)


def test_a_stack_outlives_the_mount_and_not_the_lab(lab: Lab, web: Overlay):
    stack = web.stack()
    web.unmount()
    assert [change.kind for change in stack.changes()] == ["copied-up", "whiteout"]
    lab.close()
    with pytest.raises(LabClosed):
        web.stack()
