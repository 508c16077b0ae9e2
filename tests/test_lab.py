"""A lab: its layers and mounts, its names, its end."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from overlaylab import Lab, Layer, Overlay
from overlaylab.errors import (
    BadLower,
    BadName,
    LabClosed,
    MountBusy,
    MountRefused,
    NoSuchOverlay,
)
from overlaylab.lab import find_overlay, open_labs
from overlaylab.linux import mount

from .helpers import mount_table, names


def test_a_lab_has_a_directory_of_its_own_in_the_users_home_of_labs(lab: Lab, home: Path):
    assert lab.path.parent == home
    assert lab.path.is_dir()


def test_nobody_else_may_look_into_the_home_of_labs(lab: Lab, home: Path):
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_lab_knows_its_backend_and_why(lab: Lab, backend: str):
    assert lab.backend.name == backend
    assert lab.backend.why.endswith(".")


def test_layers_and_mounts_are_kept_by_name(lab: Lab):
    base = lab.layer("base")
    web = lab.mount("web", lower=[base])
    assert lab.layers == {"base": base}
    assert lab.mounts == {"web": web}


def test_a_lower_may_be_a_layer_a_name_or_a_path(lab: Lab, directory: Path):
    base = lab.layer("base", {"base": ""})
    lab.layer("named", {"named": ""})
    (directory / "path").touch()
    web = lab.mount("web", lower=[base, "named", directory])
    assert names(web.merged) == ["base", "named", "path"]
    assert [layer.name for layer in web.lower] == ["base", "named", directory.name]


def test_lowers_may_come_as_any_sequence(lab: Lab):
    base = lab.layer("base")
    assert lab.mount("web", lower=(base,)).lower[0].name == "base"


def test_the_same_layer_may_have_two_names_in_two_labs(lab: Lab, backend: str):
    with Lab("other", backend=backend) as other:
        one, two = lab.layer("base", {"x": "1"}), other.layer("base", {"x": "2"})
        assert (lab.mount("a", lower=[one]).merged / "x").read_text() == "1"
        assert (other.mount("a", lower=[two]).merged / "x").read_text() == "2"


def test_a_layer_of_another_lab_may_be_a_lower(lab: Lab, backend: str):
    with Lab("other", backend=backend) as other:
        web = lab.mount("web", lower=[other.layer("theirs", {"x": "1"})])
        assert (web.merged / "x").read_text() == "1"
        web.unmount()


def test_layers_and_mounts_have_names_of_their_own(lab: Lab):
    lab.mount("same", lower=[lab.layer("same")])


def test_two_labs_of_one_name_do_not_meet(backend: str):
    with Lab("same", backend=backend) as one, Lab("same", backend=backend) as other:
        assert one.path != other.path


@pytest.mark.parametrize("name", ["with space", "é🐳", "a" * 255, "-x", "a\nb"])
def test_a_lab_may_have_any_file_name(backend: str, name: str):
    with Lab(name, backend=backend) as lab:
        assert lab.name == name
        lab.mount("web", lower=[lab.layer("base")])


def test_the_root_of_merged_is_readable_by_all_whatever_the_umask(lab: Lab):
    before = os.umask(0o077)
    try:
        web = lab.mount("web", lower=[lab.layer("base")])
    finally:
        os.umask(before)
    assert web.merged.stat().st_mode & 0o7777 == 0o755


def test_repr_shows_names_and_state(backend: str):
    with Lab("first-look", backend=backend) as lab:
        lab.mount("web", lower=[lab.layer("base")])
        assert repr(lab) == f"Lab('first-look', {backend}, layers=['base'], mounts=['web'])"
    assert "closed" in repr(lab)


# Its end.


def test_closing_unmounts_and_removes_everything(backend: str):
    before = mount_table()
    lab = Lab("test", backend=backend)
    for number in range(3):
        web = lab.mount(f"web{number}", lower=[lab.layer(f"base{number}", {"x": "1"})])
        (web.merged / "x").write_text("2")
    lab.close()
    assert set(mount_table()) <= set(before)
    assert not lab.path.exists()


def test_closing_twice_is_closing_once(backend: str):
    lab = Lab("test", backend=backend)
    lab.mount("web", lower=[lab.layer("base")])
    lab.close()
    lab.close()
    assert lab.closed


def test_a_block_closes_the_lab_even_after_an_error(backend: str):
    lab = Lab("test", backend=backend)
    lab.mount("web", lower=[lab.layer("base")])
    with pytest.raises(ZeroDivisionError), lab:
        _ = 1 / 0
    assert lab.closed
    assert not lab.path.exists()


def test_closing_inside_the_block_is_allowed(backend: str):
    with Lab("test", backend=backend) as lab:
        lab.close()


def test_a_lab_that_nobody_holds_is_closed(backend: str):
    lab = Lab("test", backend=backend)
    lab.mount("web", lower=[lab.layer("base")])
    path, gone = lab.path, weakref.ref(lab)
    del lab
    gc.collect()
    assert gone() is None
    assert not path.exists()


def test_a_held_overlay_keeps_its_lab(backend: str):
    web = (lab := Lab("test", backend=backend)).mount("web", lower=[lab.layer("base")])
    del lab
    gc.collect()
    assert web.merged.is_dir()
    web.lab.close()


def test_closing_a_lab_in_use_takes_the_view_away_at_once(kernel_lab: Lab):
    web = kernel_lab.mount("web", lower=[kernel_lab.layer("base", {"x": "1"})])
    merged = web.merged
    with open(merged / "x") as file:
        kernel_lab.close()
        assert not merged.exists()
        assert file.read() == "1"


def test_what_was_unmounted_by_hand_is_unmounted(kernel_lab: Lab):
    web = kernel_lab.mount("web", lower=[kernel_lab.layer("base", {"x": "1"})])
    mount.unmount(str(web.merged))
    web.unmount()
    assert not web.mounted


@pytest.fixture
def thesis(directory: Path) -> Path:
    """What a learner would not want to lose."""
    (directory / "home").mkdir()
    (directory / "home/text").write_text("years")
    return directory / "home"


PLACES = {
    "a layer": lambda lab, web: lab.layers["base"].path / "dir",
    "merged": lambda lab, web: web.merged / "dir",
    "upper": lambda lab, web: web.upper / "new",
    "an unmounted merged": lambda lab, web: web.unmount() or lab.path / "mounts/web/merged",
    "/tmp of scripts": lambda lab, web: lab.tmp,
    "the whole lab": lambda lab, web: lab.path,
}


@pytest.mark.parametrize("where", PLACES)
def test_closing_unmounts_what_a_learner_mounted_and_leaves_what_is_in_it(
    kernel_lab: Lab, thesis: Path, where: str
):
    web = kernel_lab.mount("web", lower=[kernel_lab.layer("base", {"dir/": None})])
    web.sh("mkdir new")
    mount.bind(str(thesis), str(PLACES[where](kernel_lab, web)))
    path = kernel_lab.path
    kernel_lab.close()
    assert (thesis / "text").read_text() == "years"
    assert mount.mounted_in(path) == []
    assert not path.exists()


def test_closing_leaves_a_file_that_is_mounted_on_another(kernel_lab: Lab, thesis: Path):
    base = kernel_lab.layer("base", {"file": "x"})
    mount.bind(str(thesis / "text"), str(base.path / "file"))
    kernel_lab.close()
    assert (thesis / "text").read_text() == "years"
    assert not kernel_lab.path.exists()


def test_a_layer_in_which_something_is_mounted_is_removed_without_it(kernel_lab: Lab, thesis: Path):
    base = kernel_lab.layer("base", {"dir/": None})
    mount.bind(str(thesis), str(base.path / "dir"))
    kernel_lab.remove_layer("base")
    assert (thesis / "text").read_text() == "years"
    assert not base.path.exists()


@pytest.mark.parametrize("end", ["unmount", "close"])
def test_a_stand_in_does_not_remove_what_is_mounted_in_it(kernel_lab: Lab, thesis: Path, end: str):
    with Lab("stand-in", backend="emulated") as lab:
        web = lab.mount("web", lower=[lab.layer("base", {"dir/": None})])
        mount.bind(str(thesis), str(web.merged / "dir"))
        if end == "unmount":
            with pytest.raises(MountBusy):
                web.unmount()
            mount.unmount(str(web.merged / "dir"))
    assert (thesis / "text").read_text() == "years"


def test_closing_gives_back_every_descriptor(backend: str):
    with Lab("warm", backend=backend) as lab:
        lab.mount("web", lower=[lab.layer("base")]).sh("true")
    before = sorted(os.listdir("/proc/self/fd"))
    with Lab("test", backend=backend) as lab:
        web = lab.mount("web", lower=[lab.layer("base")])
        web.sh("touch x; sleep 0.01 &")
        web.diagram()
        web.commit("v2")
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_closing_one_lab_leaves_the_others(backend: str):
    with Lab("one", backend=backend) as one, Lab("other", backend=backend) as other:
        web = other.mount("web", lower=[other.layer("base", {"x": "1"})])
        one.close()
        assert (web.merged / "x").read_text() == "1"


@pytest.mark.parametrize(
    "use",
    [
        lambda lab: lab.layer("new"),
        lambda lab: lab.mount("new", lower=["base"]),
        lambda lab: lab.mounts["web"].merged,
        lambda lab: lab.mounts["web"].upper,
        lambda lab: lab.mounts["web"].work,
        lambda lab: lab.mounts["web"].options,
        lambda lab: lab.mounts["web"].stack(),
        lambda lab: lab.mounts["web"].sh("true"),
        lambda lab: lab.mounts["web"].changes(),
        lambda lab: lab.mounts["web"].lookup("x"),
        lambda lab: lab.mounts["web"].tree(),
        lambda lab: lab.mounts["web"].diagram(),
        lambda lab: lab.mounts["web"].commit("v2"),
        lambda lab: lab.mounts["web"].unmount(),
    ],
)
def test_a_closed_lab_can_do_nothing_more(backend: str, use):
    with Lab("gone", backend=backend) as lab:
        lab.mount("web", lower=[lab.layer("base")])
    with pytest.raises(LabClosed, match=r"'gone' is closed.*: make a new one"):
        use(lab)


def test_the_overlays_of_a_closed_lab_are_not_mounted(backend: str):
    with Lab("test", backend=backend) as lab:
        web = lab.mount("web", lower=[lab.layer("base")])
        assert web.mounted
    assert not web.mounted


def test_a_layer_of_a_closed_lab_is_no_lower_any_more(lab: Lab, backend: str):
    with Lab("gone", backend=backend) as other:
        layer = other.layer("base")
    with pytest.raises(BadLower, match="does not exist"):
        lab.mount("web", lower=[layer])


# Nothing half-made.


@pytest.mark.parametrize("content", [{"ok": "x", "../bad": "x"}, {"ok": "x", "ok/bad": "x"}])
def test_a_layer_that_could_not_be_filled_is_not_there(lab: Lab, content: dict[str, str]):
    with pytest.raises(ValueError, match=": "):
        lab.layer("bad", content)
    assert lab.layers == {}
    assert not list(lab.path.glob("layers/*"))
    lab.layer("bad", {"now": "good"})


def test_a_mount_that_was_refused_is_not_there(kernel_lab: Lab):
    base = kernel_lab.layer("base", {"dir/": None})
    before = mount_table()
    with pytest.raises(MountRefused, match="inside one another"):
        kernel_lab.mount("web", lower=[base, base.path / "dir"])
    assert kernel_lab.mounts == {}
    assert set(mount_table()) <= set(before)
    assert not list(kernel_lab.path.glob("mounts/*"))
    kernel_lab.mount("web", lower=[base])


def test_a_name_stays_taken_after_unmounting(lab: Lab):
    """Its upper is still there, and could be lost."""
    web = lab.mount("web", lower=[lab.layer("base")])
    (web.merged / "x").touch()
    web.unmount()
    with pytest.raises(BadName, match="'web' already: choose another name"):
        lab.mount("web", lower=["base"])
    assert (web.upper / "x").exists()


def test_a_second_layer_of_a_name_leaves_the_first_alone(lab: Lab):
    first = lab.layer("base", {"x": "1"})
    with pytest.raises(BadName, match="'base' already"):
        lab.layer("base", {"x": "2"})
    assert lab.layers["base"] is first
    assert (first.path / "x").read_text() == "1"


# A cell of a notebook that runs again.


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Begin to run a cell; each call is a run of its own."""
    runs = count()

    def begin(name: str) -> None:
        running = name, str(next(runs))
        monkeypatch.setattr("overlaylab.lab.running_cell", lambda: running)

    return begin


def test_a_cell_that_runs_again_makes_its_mount_anew(lab: Lab, cell: Callable[[str], None]):
    lab.layer("base", {"x": "1"})
    cell("a")
    first = lab.mount("web", lower=["base"])
    (first.merged / "mine").touch()
    cell("a")
    again = lab.mount("web", lower=["base"])
    assert os.listdir(again.upper) == []
    assert find_overlay("web") is again
    assert not first.mounted


def test_a_cell_that_runs_again_with_a_mistake_loses_nothing(lab: Lab, cell: Callable[[str], None]):
    lab.layer("base", {"x": "1"})
    cell("a")
    first = lab.mount("web", lower=["base"])
    (first.merged / "mine").touch()
    cell("a")
    with pytest.raises(BadLower):
        lab.mount("web", lower=["bsae"])
    assert first.mounted
    assert (first.upper / "mine").exists()


def test_a_cell_that_runs_again_makes_its_layer_anew_and_takes_its_mounts_away(
    lab: Lab, cell: Callable[[str], None]
):
    cell("a")
    lab.layer("base", {"x": "1"})
    other = lab.mount("other", lower=[lab.layer("apart")])
    cell("b")
    web = lab.mount("web", lower=["base"])
    cell("a")
    base = lab.layer("base", {"x": "2"})
    assert (base.path / "x").read_text() == "2"
    assert not web.mounted
    assert "web" not in lab.mounts
    assert other.mounted
    with pytest.raises(NoSuchOverlay, match="run the cells above first"):
        find_overlay("web")


def test_a_name_that_another_cell_has_made_stays_taken(lab: Lab, cell: Callable[[str], None]):
    cell("a")
    lab.layer("base", {"x": "1"})
    cell("b")
    with pytest.raises(BadName, match=r"already.*Lab\(…\) or exercise\(…\) again"):
        lab.layer("base", {"x": "2"})
    assert (lab.layers["base"].path / "x").read_text() == "1"
    cell("a")
    lab.layer("base")  # the first one still made it


def test_a_cell_that_gives_a_name_twice_in_one_run_is_refused(
    lab: Lab, cell: Callable[[str], None]
):
    cell("a")
    lab.layer("base", {"x": "1"})
    with pytest.raises(BadName, match="already"):
        lab.layer("base", {"x": "2"})


# Finding overlays by name, for the magics.


def test_an_overlay_is_found_by_name_in_any_open_lab(lab: Lab, backend: str):
    web = lab.mount("web", lower=[lab.layer("base")])
    with Lab("other", backend=backend) as other:
        db = other.mount("db", lower=[other.layer("base")])
        assert find_overlay("web") is web
        assert find_overlay("db") is db
    with pytest.raises(NoSuchOverlay, match=r"'db' \(mounted: web\): mount one"):
        find_overlay("db")


def test_the_overlay_mounted_last_has_the_name(lab: Lab, backend: str):
    lab.mount("web", lower=[lab.layer("base")])
    with Lab("other", backend=backend) as other:
        web = other.mount("web", lower=[other.layer("base")])
        assert find_overlay("web") is web


def test_open_labs_are_listed_in_the_order_of_making(backend: str):
    with Lab("a", backend=backend) as a, Lab("b", backend=backend) as b:
        assert open_labs() == [a, b]
        a.close()
        assert open_labs() == [b]


def test_lab_layer_and_overlay_are_what_the_package_calls_them(lab: Lab):
    assert isinstance(lab.layer("base"), Layer)
    assert isinstance(lab.mount("web", lower=["base"]), Overlay)
