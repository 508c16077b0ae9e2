"""An overlay: its parts, its options, unmounting, committing, and looking at somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from overlaylab import Lab, Overlay
from overlaylab.errors import BadLower, MountBusy, NotMounted, OverlaylabError
from overlaylab.linux import users

from .helpers import kinds, mount_table, names, overlay_by_hand, tree


@pytest.fixture
def web(lab: Lab) -> Overlay:
    app, base = lab.layer("app", {"etc/motd": "app"}), lab.layer("base", {"old": "x"})
    return lab.mount("web", lower=[app, base])


def test_layers_are_listed_with_upper_on_top(web: Overlay):
    assert [layer.name for layer in web.stack().layers] == ["upper", "app", "base"]


def test_a_read_only_overlay_has_neither_upper_nor_work(lab: Lab):
    view = lab.mount("view", lower=[lab.layer("a"), lab.layer("b")], upper=False)
    assert [layer.name for layer in view.stack().layers] == ["a", "b"]
    for part in ("upper", "work"):
        with pytest.raises(NotMounted, match=r"view has no .*: mount it with an upper"):
            getattr(view, part)
    for use in (view.changes, lambda: view.commit("v2")):
        with pytest.raises(NotMounted):
            use()


def test_repr_shows_layers_and_state(lab: Lab, web: Overlay):
    view = lab.mount("view", lower=["app", "base"], upper=False)
    assert repr(web) == "Overlay('web', lower=['app', 'base'])"
    assert repr(view) == "Overlay('view', lower=['app', 'base'], read-only)"
    web.unmount()
    assert repr(web) == "Overlay('web', lower=['app', 'base'], not mounted)"


def test_the_options_are_those_that_the_kernel_reports(lab: Lab):
    a, b = lab.layer("a"), lab.layer("b")
    web = lab.mount("web", lower=[a, b])
    assert web.options["lowerdir"] == f"{a.path}:{b.path}"
    assert web.options["upperdir"] == str(web.upper)
    assert web.options["workdir"] == str(web.work)
    own = lab.backend.name == "kernel" and users.in_user_namespace()
    assert ("userxattr" in web.options) == own


def test_a_read_only_mounts_options_have_lowers_alone(lab: Lab):
    stack = [lab.layer("a"), lab.layer("b")]
    options = lab.mount("view", lower=stack, upper=False).options
    assert options.keys() & {"lowerdir", "upperdir", "workdir"} == {"lowerdir"}


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\\b", "a b\nc", "é", "n" * 250])
def test_the_options_have_the_true_paths_whatever_the_layer_is_called(lab: Lab, name: str):
    layer = lab.layer(name, {"file": "x"})
    web = lab.mount(name, lower=[layer])
    assert web.options["lowerdir"] == str(layer.path)
    assert web.options["upperdir"] == str(web.upper)
    assert names(web.merged) == ["file"]


# Unmounting.


def test_unmounting_takes_the_view_away_and_keeps_upper(web: Overlay):
    merged = web.merged
    (merged / "new").write_text("x")
    web.unmount()
    assert not web.mounted
    assert names(merged) == []
    assert names(web.upper) == ["new"]
    assert web.options == {}


def test_unmounting_twice_is_unmounting_once(web: Overlay):
    web.unmount()
    web.unmount()


@pytest.mark.parametrize(
    "use", [lambda web: web.merged, lambda web: web.sh("true"), lambda web: web.tree()]
)
def test_an_unmounted_overlay_has_no_merged(web: Overlay, use):
    web.unmount()
    with pytest.raises(NotMounted, match=r"web is not mounted.*: mount it again"):
        use(web)


def test_unmounting_what_is_in_use_is_refused(web: Overlay):
    with open(web.merged / "old"):
        with pytest.raises(MountBusy, match=r"in use: close the files"):
            web.unmount()
        assert web.mounted
    web.unmount()


def test_the_same_layers_can_be_mounted_again(lab: Lab, web: Overlay):
    web.unmount()
    again = lab.mount("again", lower=web.lower)
    assert names(again.merged) == ["etc/", "etc/motd", "old"]


# Committing.


def test_a_commit_is_a_layer_of_the_lab(lab: Lab, web: Overlay):
    (web.merged / "new").write_text("x")
    layer = web.commit("v2")
    assert lab.layers["v2"] is layer
    assert layer.name == "v2"
    assert names(layer.path) == ["new"]


def test_a_commit_on_top_of_the_lowers_shows_what_merged_showed(lab: Lab, web: Overlay):
    web.sh("rm old; echo more >> etc/motd; mkdir -m 700 new; ln -s x new/link", check=True)
    before = tree(web.merged)
    view = lab.mount("view", lower=[web.commit("v2"), *web.lower], upper=False)
    assert tree(view.merged) == before


def test_a_commit_does_not_change_when_upper_does(web: Overlay):
    (web.merged / "file").write_text("one")
    layer = web.commit("v2")
    (web.merged / "file").write_text("other")
    (web.merged / "new").touch()
    assert names(layer.path) == ["file"]
    assert (layer.path / "file").read_text() == "one"


def test_a_commit_leaves_the_overlay_as_it_was(web: Overlay):
    web.sh("rm old; echo more >> etc/motd", check=True)
    before = web.changes()
    web.commit("v2")
    assert web.changes() == before
    (web.merged / "still").write_text("writable")


def test_a_commit_of_nothing_is_an_empty_layer(web: Overlay):
    assert names(web.commit("v2").path) == []


def test_a_commit_keeps_the_mode_of_the_root(lab: Lab, web: Overlay):
    web.merged.chmod(0o711)
    assert web.commit("v2").path.stat().st_mode & 0o7777 == 0o711


def test_an_unmounted_overlay_can_be_committed(web: Overlay):
    (web.merged / "new").touch()
    web.unmount()
    assert names(web.commit("v2").path) == ["new"]


def test_commits_stack_as_images_do(lab: Lab):
    layers = [lab.layer("base", {"count": "0"})]
    for number in range(1, 6):
        step = lab.mount(f"step{number}", lower=layers)
        (step.merged / "count").write_text(str(number))
        (step.merged / f"file{number}").touch()
        if number > 1:
            (step.merged / f"file{number - 1}").unlink()
        layers.insert(0, step.commit(f"layer{number}"))
    final = lab.mount("final", lower=layers)
    assert names(final.merged) == ["count", "file5"]
    assert (final.merged / "count").read_text() == "5"


# A stack that something else made.


@pytest.fixture
def stack(directory: Path) -> Path:
    """Directories as some other tool has them: lower, upper, work and merged."""
    (directory / "lower").mkdir()
    (directory / "lower/old").write_text("x")
    (directory / "lower/kept").write_text("x")
    return directory


def test_an_attached_stack_tells_its_changes(stack: Path):
    lower, upper = stack / "lower", stack / "upper"
    with overlay_by_hand(stack / "merged", [lower], upper, stack / "work") as merged:
        (merged / "old").unlink()
        (merged / "new").write_text("x")
        theirs = Overlay.attach(lower=[lower], upper=upper, merged=merged)
        assert kinds(theirs) == {"new": "added", "old": "whiteout"}
        assert theirs.merged == merged
        assert theirs.mounted
        assert theirs.lookup("kept").answer == "lower"
        assert repr(theirs.tree()) == "kept  1 B\nnew   1 B"


def test_an_attached_stack_need_not_be_mounted(stack: Path):
    (stack / "upper").mkdir()
    (stack / "upper/new").touch()
    theirs = Overlay.attach(lower=[str(stack / "lower")], upper=str(stack / "upper"))
    assert kinds(theirs) == {"new": "added"}
    assert not theirs.mounted


def test_attaching_touches_nothing(stack: Path):
    (stack / "upper").mkdir()
    before, mounts = tree(stack, times=True), mount_table()
    theirs = Overlay.attach(lower=[stack / "lower"], upper=stack / "upper")
    theirs.changes()
    theirs.lookup("old")
    theirs.diagram()
    del theirs
    assert tree(stack, times=True) == before
    assert set(mount_table()) <= set(mounts)


@pytest.mark.parametrize(
    "use",
    [
        lambda theirs: theirs.sh("touch x"),
        lambda theirs: theirs.unmount(),
        lambda theirs: theirs.commit("v2"),
        lambda theirs: theirs.options,
        lambda theirs: theirs.work,
    ],
)
def test_an_attached_stack_is_only_looked_at(stack: Path, use):
    (stack / "upper").mkdir()
    theirs = Overlay.attach(
        lower=[stack / "lower"], upper=stack / "upper", merged=stack, name="theirs"
    )
    with pytest.raises(NotMounted, match=r"theirs .*: "):
        use(theirs)


@pytest.mark.parametrize("missing", ["lower", "upper", "merged"])
@pytest.mark.parametrize("state", ["does not exist", "is not a directory"])
def test_attaching_to_what_is_no_directory_is_refused(stack: Path, missing: str, state: str):
    given = {"lower": stack / "lower", "upper": stack / "lower", "merged": stack}
    given[missing] = stack / "nothing" if state == "does not exist" else stack / "lower/old"
    with pytest.raises(BadLower, match=f"{given[missing]} {state}.*: check the path"):
        Overlay.attach(lower=[given["lower"]], upper=given["upper"], merged=given["merged"])


def test_attaching_to_no_lowers_is_refused(stack: Path):
    with pytest.raises(BadLower, match=": give at least one"):
        Overlay.attach(lower=[], upper=stack)


def test_attaching_to_one_path_instead_of_a_list_is_refused(stack: Path):
    with pytest.raises(OverlaylabError, match="list"):
        Overlay.attach(lower=str(stack / "lower"), upper=stack)
