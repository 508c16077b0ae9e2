"""Which layer answers for a path, and who was asked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from overlaylab import Lab, Layer, Overlay
from overlaylab.lookup import Lookup

from .helpers import overlay_by_hand
from .rights import MARKS, REAL_ROOT, since


@pytest.fixture
def web(lab: Lab) -> Overlay:
    base = lab.layer("base", {"etc/motd": "base", "var/cache/x": "", "who": "base", "old": ""})
    app = lab.layer("app", {"etc/motd": "app", "who": "app"})
    return lab.mount("web", lower=[app, base])


def roles(found: Lookup) -> dict[str, str]:
    return {one.layer: one.role for one in found.asked}


def contents(found: Lookup) -> dict[str, str | None]:
    return {one.layer: one.found for one in found.asked}


def test_every_layer_is_listed_the_top_one_first(web: Overlay):
    assert [one.layer for one in web.lookup("etc/motd").asked] == ["upper", "app", "base"]


def test_the_topmost_file_answers_and_hides_the_others(web: Overlay):
    found = web.lookup("who")
    assert found.answer == "app"
    assert found.hidden == ["base"]
    assert roles(found) == {"upper": "nothing", "app": "answers", "base": "hidden"}


def test_a_layer_below_the_answer_that_has_nothing_was_not_asked(web: Overlay):
    (web.merged / "new").touch()
    assert roles(web.lookup("new")) == {"upper": "answers", "app": "unasked", "base": "unasked"}


def test_a_layer_above_the_answer_was_asked_and_has_nothing(web: Overlay):
    found = web.lookup("old")
    assert roles(found) == {"upper": "nothing", "app": "nothing", "base": "answers"}


def test_a_layer_without_the_parent_directory_is_not_asked_for_what_is_in_it(web: Overlay):
    found = web.lookup("var/cache/x")
    assert roles(found) == {"upper": "unasked", "app": "unasked", "base": "answers"}


def test_after_a_copy_up_the_upper_answers(web: Overlay):
    (web.merged / "etc/motd").write_text("new")
    found = web.lookup("etc/motd")
    assert found.answer == "upper"
    assert found.hidden == ["app", "base"]
    assert found.because is None


def test_a_whiteout_answers_with_nothing(web: Overlay):
    (web.merged / "etc/motd").unlink()
    found = web.lookup("etc/motd")
    assert found.answer is None
    assert roles(found) == {"upper": "hides", "app": "hidden", "base": "hidden"}
    assert contents(found) == {"upper": "whiteout", "app": "file", "base": "file"}


def test_nobody_answers_for_what_is_nowhere(web: Overlay):
    found = web.lookup("no/such/file")
    assert found.answer is None
    assert found.hidden == []


def test_directories_merge_into_the_topmost(web: Overlay):
    found = web.lookup("etc")
    assert found.answer == "app"
    assert roles(found) == {"upper": "nothing", "app": "answers", "base": "merges"}


def test_an_opaque_directory_ends_the_search(web: Overlay):
    shutil.rmtree(web.merged / "etc")
    (web.merged / "etc").mkdir()
    found = web.lookup("etc")
    assert roles(found) == {"upper": "answers", "app": "hidden", "base": "hidden"}
    assert contents(found)["upper"] == "opaque directory"


def test_an_opaque_mark_over_nothing_is_not_worth_a_word(lab: Lab):
    base = lab.layer("base", {"dir/file": ""})
    os.setxattr(base.path / "dir", MARKS + "opaque", b"y")
    web = lab.mount("web", lower=[base])
    assert contents(web.lookup("dir")) == {"upper": None, "base": "directory"}


def test_what_a_deleted_parent_hides_names_the_parent(web: Overlay):
    shutil.rmtree(web.merged / "var")
    found = web.lookup("var/cache/x")
    assert found.answer is None
    assert found.hidden == ["base"]
    assert found.because == "var"
    assert repr(found) == (
        "var/cache/x\n"
        "  upper  –     not asked\n"
        "  app    –     not asked\n"
        "  base   file  hidden by var"
    )


def test_what_an_opaque_parent_hides_names_the_parent(web: Overlay):
    shutil.rmtree(web.merged / "var/cache")
    (web.merged / "var/cache").mkdir()
    found = web.lookup("var/cache/x")
    assert (found.answer, found.hidden, found.because) == (None, ["base"], "var/cache")


def test_a_file_in_place_of_a_directory_hides_what_was_in_it(web: Overlay):
    shutil.rmtree(web.merged / "var")
    (web.merged / "var").touch()
    found = web.lookup("var/cache/x")
    assert (found.answer, found.hidden, found.because) == (None, ["base"], "var")


def test_a_whiteout_in_a_lower_hides_below_it_only(lab: Lab, web: Overlay):
    (web.merged / "who").unlink()
    layer = web.commit("cleaned")
    over = lab.layer("over", {"who": "over"})
    again = lab.mount("again", lower=[over, layer, *web.lower])
    assert roles(again.lookup("who")) == {
        "upper": "nothing",
        "over": "answers",
        "cleaned": "hidden",
        "app": "hidden",
        "base": "hidden",
    }


def test_a_symlink_in_a_layer_leads_nowhere(lab: Lab):
    """The kernel looks layer by layer for names; links are for whoever walks in merged."""
    base = lab.layer("base", {"real/file": "x"})
    (base.path / "link").symlink_to("real")
    web = lab.mount("web", lower=[base])
    assert web.lookup("link/file").answer is None
    assert web.lookup("link").answer == "base"
    assert contents(web.lookup("link"))["base"] == "symlink"


def test_a_symlink_out_of_a_layer_is_not_followed(lab: Lab):
    base = lab.layer("base")
    (base.path / "out").symlink_to("/etc")
    web = lab.mount("web", lower=[base])
    assert web.lookup("out/passwd").answer is None
    assert contents(web.lookup("out/passwd")) == {"upper": None, "base": None}


def test_a_read_only_mount_asks_its_lowers_alone(lab: Lab):
    stack = [lab.layer("a", {"x": ""}), lab.layer("b", {"x": "", "y": ""})]
    view = lab.mount("view", lower=stack, upper=False)
    assert roles(view.lookup("x")) == {"a": "answers", "b": "hidden"}
    assert view.lookup("y").answer == "b"


def test_a_final_slash_makes_no_difference(web: Overlay):
    assert web.lookup("etc/").answer == web.lookup("etc").answer == "app"
    assert web.lookup("etc/").path == "etc"


def test_looking_up_copies_nothing(web: Overlay):
    web.lookup("etc/motd")
    assert web.changes() == []


def test_an_unmounted_overlay_can_be_asked(web: Overlay):
    (web.merged / "etc/motd").unlink()
    web.unmount()
    assert web.lookup("etc/motd").answer is None


def test_it_prints_a_line_for_each_layer(web: Overlay):
    (web.merged / "old").unlink()
    assert repr(web.lookup("old")) == (
        "old\n"
        "  upper  whiteout  hides what is below\n"
        "  app    –         not asked\n"
        "  base   file      hidden, not asked"
    )


@pytest.mark.skipif(not REAL_ROOT, reason="the kernel permits redirect_dir to real root only")
def test_a_redirect_is_followed_below(directory: Path):
    lower = directory / "lower"
    (lower / "dir").mkdir(parents=True)
    (lower / "dir/file").write_text("x")
    merged, upper = directory / "merged", directory / "upper"
    with overlay_by_hand(merged, [lower], upper, directory / "work", "redirect_dir=on"):
        (merged / "dir").rename(merged / "moved")
        web = Overlay.attach(lower=[lower], upper=upper, merged=merged)
        assert (merged / "moved/file").read_text() == "x"
        assert web.lookup("moved/file").answer == "lower"
        assert web.lookup("dir/file").answer is None


@pytest.fixture
def renamed(kernel_lab: Lab) -> Overlay:
    """A directory of two lowers, renamed; upper has a copy and a whiteout in it."""
    base = kernel_lab.layer("base", {"dir/a": "1", "dir/b": "2", "big": bytes(100)})
    app = kernel_lab.layer("app", {"dir/c": "3"})
    options = {"redirect_dir": "on", "metacopy": "on"}
    web = kernel_lab.mount("web", lower=[app, base], options=options)
    (web.merged / "dir").rename(web.merged / "moved")
    (web.merged / "moved/a").write_text("new")
    (web.merged / "moved/b").unlink()
    return web


needs_real_root = pytest.mark.skipif(
    not REAL_ROOT, reason="the kernel permits redirect_dir and metacopy to real root only"
)


@needs_real_root
def test_a_redirect_says_where_a_layer_has_it(renamed: Overlay):
    assert [one.at for one in renamed.lookup("moved").asked] == ["moved", "dir", "dir"]
    found = renamed.lookup("moved/c")
    assert (found.answer, found.asked[1].at) == ("app", "dir/c")
    assert repr(found) == (
        "moved/c\n"
        "  upper  –     asked, has nothing\n"
        "  app    file  answers, as dir/c\n"
        "  base   –     not asked"
    )


@needs_real_root
def test_what_is_hidden_in_a_renamed_directory_is_where_the_redirect_leads(renamed: Overlay):
    assert renamed.lookup("moved/a").hidden == ["base"]
    assert renamed.lookup("moved/b").hidden == ["base"]
    assert renamed.lookup("moved/b").answer is None


@needs_real_root
def test_a_copy_without_data_has_them_in_a_lower(renamed: Overlay):
    (renamed.merged / "big").chmod(0o600)
    assert roles(renamed.lookup("big")) == {"upper": "answers", "app": "unasked", "base": "data"}
    assert renamed.lookup("big").hidden == []
    (renamed.merged / "big").rename(renamed.merged / "large")
    found = renamed.lookup("large")
    assert roles(found) == {"upper": "answers", "app": "unasked", "base": "data"}
    assert found.asked[2].at == "big"
    with open(renamed.merged / "large", "ab") as file:
        file.write(b"x")
    assert roles(renamed.lookup("large"))["base"] == "unasked"


@needs_real_root
def test_the_data_are_in_the_topmost_lower_that_has_them(kernel_lab: Lab):
    names = ["app", "base", "older", "oldest"]
    layers = [kernel_lab.layer(name, {} if name == "app" else {"big": name}) for name in names]
    web = kernel_lab.mount("web", lower=layers, options={"metacopy": "on"})
    (web.merged / "big").chmod(0o600)
    assert (web.merged / "big").read_text() == "base"
    assert roles(web.lookup("big")) == {
        "upper": "answers",
        "app": "unasked",
        "base": "data",
        "older": "hidden",
        "oldest": "hidden",
    }


@needs_real_root
def test_a_directory_moved_into_another_is_looked_for_in_every_lower(renamed: Overlay):
    (renamed.merged / "away").mkdir()
    (renamed.merged / "moved").rename(renamed.merged / "away/moved")
    found = renamed.lookup("away/moved/c")
    assert (found.answer, found.asked[1].at) == ("app", "dir/c")
    assert "answers, as dir/c" in repr(found)
    (renamed.merged / "away/moved").rename(renamed.merged / "a")
    assert "answers, as dir/c" in repr(renamed.lookup("a/c"))


@needs_real_root
def test_the_data_of_a_copy_moved_into_another_directory(renamed: Overlay):
    (renamed.merged / "new").mkdir()
    (renamed.merged / "big").rename(renamed.merged / "new/large")
    (renamed.merged / "new/large").chmod(0o600)
    found = renamed.lookup("new/large")
    assert (found.asked[2].role, found.asked[2].at) == ("data", "big")


@needs_real_root
def test_a_redirect_to_what_is_nowhere_ends(renamed: Overlay):
    (renamed.merged / "big").chmod(0o600)
    os.setxattr(renamed.upper / "big", "trusted.overlay.redirect", b"/no/where")
    assert roles(renamed.lookup("big")) == {"upper": "answers", "app": "unasked", "base": "hidden"}


@needs_real_root
def test_the_picture_follows_a_redirect(renamed: Overlay):
    (renamed.merged / "big").chmod(0o600)
    assert repr(renamed.diagram("moved", "moved/a", "moved/b", "moved/c", "dir", "big")) == (
        "         moved/   moved/a      moved/b   moved/c   dir/    big\n"
        "merged   dir      new          –         3         –       100 B\n"
        "upper    dir  ↷   new  ↑base   ✕         ·         ✕       100 B  ~  ↑base\n"
        "app      dir      ·            ·         3         (dir)   ·\n"
        "base     dir      (1)          (2)       ·         (dir)   100 B\n"
        "( ) hidden   ↑ copied up from   ✕ whiteout   ~ metadata only   ↷ renamed, points below"
        "   · nothing here   – not there for a process"
    )
    assert {"moved/", "moved/a"} <= set(renamed.diagram().grid.paths)
    assert ("moved/", "points to dir") in renamed.tree("upper").rows


@pytest.mark.skipif(not REAL_ROOT, reason="trusted.* and user.* can be told apart by root only")
def test_a_mark_that_the_mount_does_not_look_for_is_none(lab: Lab):
    base = lab.layer("base", {"dir/below": "x", "deleted": "x"})
    top = lab.layer("top", {"dir/above": "x"})
    os.setxattr(top.path / "dir", "user.overlay.opaque", b"y")
    web = lab.mount("web", lower=[top, base])
    assert sorted(os.listdir(web.merged / "dir")) == ["above", "below"]
    assert contents(web.lookup("dir")) == {"upper": None, "top": "directory", "base": "directory"}
    assert web.lookup("dir/below").answer == "base"
    (web.merged / "dir/below").unlink()
    assert [(one.kind, one.path) for one in web.changes()] == [("whiteout", "dir/below")]
    assert dict(Layer(top.path).walk())["dir"].opaque, "a layer by itself is any mount's"


@pytest.mark.skipif(not REAL_ROOT, reason="a user namespace mounts with userxattr always")
@pytest.mark.parametrize(
    "options", [[], pytest.param(["userxattr"], marks=since(5, 11, "userxattr"))]
)
def test_an_attached_stack_is_read_as_its_mount_was_told_to(directory: Path, options: list[str]):
    base, upper, merged = (directory / name for name in ("base", "upper", "merged"))
    for name in ("trusted", "user"):
        for layer in (base, upper):
            (layer / name).mkdir(parents=True)
        (base / name / "below").touch()
        os.setxattr(upper / name, f"{name}.overlay.opaque", b"y")
    with overlay_by_hand(merged, [base], upper, directory / "work", *options):
        shown = [name for name in ("trusted", "user") if os.listdir(merged / name)]
        web = Overlay.attach(lower=[base], upper=upper, merged=merged)
        assert [name for name in shown if web.lookup(f"{name}/below").answer] == shown
        hidden = {"trusted", "user"} - set(shown)
        assert len(hidden) == 1
        assert {one.path for one in web.changes() if one.kind == "opaque"} == hidden
