"""Bad input: one clear sentence each, with a remedy, and nothing half-made."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from overlaylab import Lab, Layer, errors
from overlaylab.errors import BadLower, BadName, BadPath, OverlaylabError

from .helpers import mount_table, tree

BAD_NAMES = {
    "empty": "",
    "dot": ".",
    "two dots": "..",
    "a slash": "a/b",
    "an absolute path": "/a",
    "a zero byte": "a\0b",
    "300 characters": "a" * 300,
    "256 bytes": "é" * 128,
    "no string": 5,
    "bytes": b"base",
    "None": None,
    "half a surrogate pair": "\ud800",
}

BAD_PATHS = {
    "out of the layer": "../x",
    "out of the layer later": "a/../../x",
    "out and in again": "a/../b",
    "absolute": "/x",
    "the root": "/",
    "empty": "",
    "an empty part": "a//b",
    "a dot": ".",
    "a dot inside": "a/./b",
    "two dots": "..",
    "two dots at the end": "a/..",
    "a zero byte": "a\0b",
    "a part of 300 characters": "a/" + "b" * 300,
    "no string": 5,
    "bytes": b"x",
    "half a surrogate pair": "a/\ud800",
    "longer than any path can be": "/".join(["a" * 200] * 30),
}


@pytest.fixture
def unchanged(lab: Lab):
    """Nothing is there after the test that was not there before."""
    lab.layer("base", {"file": "x", "dir/sub/": None})
    lab.mount("web", lower=["base"])
    before = tree(lab.path), mount_table(), dict(lab.layers), dict(lab.mounts)
    yield lab
    now = tree(lab.path), mount_table(), dict(lab.layers), dict(lab.mounts)
    assert now[0] == before[0]
    assert set(now[1]) <= set(before[1])
    assert now[2:] == before[2:]


def sentence(kind: type[OverlaylabError], use: Callable[[], object], *said: str) -> None:
    """`use` fails with one sentence: what and why, a colon, and what to do now."""
    with pytest.raises(kind) as raised:
        use()
    text = str(raised.value)
    assert re.fullmatch(r"[^\n\0]+\S: \S[^\n\0]+\.", text), text
    for words in said:
        assert words in text


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())
@pytest.mark.parametrize("what", ["layer", "mount", "lab", "commit"])
def test_a_name_that_is_no_file_name(unchanged: Lab, what: str, name: object):
    uses = {
        "layer": lambda: unchanged.layer(name, {"x": "1"}),
        "mount": lambda: unchanged.mount(name, lower=["base"]),
        "lab": lambda: Lab(name).close(),
        "commit": lambda: unchanged.mounts["web"].commit(name),
    }
    sentence(BadName, uses[what], repr(name), "choose" if isinstance(name, str) else "give")


@pytest.mark.parametrize("what", ["layer", "mount", "commit"])
def test_a_name_that_is_taken(unchanged: Lab, what: str):
    uses = {
        "layer": lambda: unchanged.layer("base", {"other": "1"}),
        "mount": lambda: unchanged.mount("web", lower=["base"]),
        "commit": lambda: unchanged.mounts["web"].commit("base"),
    }
    sentence(BadName, uses[what], "already", "choose another name")


@pytest.mark.parametrize("path", BAD_PATHS.values(), ids=BAD_PATHS.keys())
def test_a_path_that_is_none_inside_a_layer(unchanged: Lab, path: object):
    sentence(BadPath, lambda: unchanged.layer("new", {"good": "1", path: "1"}), repr(path)[:20])


@pytest.mark.parametrize("path", BAD_PATHS.values(), ids=BAD_PATHS.keys())
@pytest.mark.parametrize("use", ["lookup", "diagram"])
def test_a_path_that_is_none_inside_merged(unchanged: Lab, use: str, path: object):
    ask = getattr(unchanged.mounts["web"], use)
    sentence(BadPath, lambda: ask(path), repr(path)[:20])


@pytest.mark.parametrize(
    "content",
    [
        {"dir": None},
        {"file/": "text"},
        {"file/": b""},
        {"x": "1", "x/y": "2"},
        {"x/y": "1", "x": "2"},
        {"x/": None, "x": "1"},
        {"x": "1", "x/": None},
        {"x": 5},
        {"x": ["a", "list"]},
        {"x": "half a surrogate pair: \ud800"},
        "text",
        ["file"],
        5,
    ],
    ids=repr,
)
def test_content_that_makes_no_layer(unchanged: Lab, content: object):
    sentence(BadPath, lambda: unchanged.layer("new", content), "'new'")


#: What is given as lower, from the layer "base" and a directory with a file in it; and what is
#: said about it.
BAD_LOWERS: dict[str, tuple[Callable[[Layer, Path], object], str]] = {
    "none": (lambda base, _: [], "at least one"),
    "a name alone": (lambda base, _: "base", "not a list"),
    "a layer alone": (lambda base, _: base, "not a list"),
    "a path alone": (lambda base, _: base.path, "not a list"),
    "nothing": (lambda base, _: None, "list"),
    "a number": (lambda base, _: 5, "list"),
    "an unknown name": (lambda base, _: ["nope"], "no layer 'nope'"),
    "a number among them": (lambda base, _: [base, 5], "5 cannot be a lower"),
    "None among them": (lambda base, _: [base, None], "None cannot be a lower"),
    "bytes": (lambda base, _: [b"base"], "cannot be a lower"),
    "a path that is not there": (lambda base, place: [place / "nowhere"], "does not exist"),
    "a path with a zero byte": (lambda base, _: ["/a\0b"], "/a"),
    "a file": (lambda base, place: [place / "file"], "is not a directory"),
    "the same twice": (lambda base, _: ["base", "base"], "'base' is twice"),
    "the same by name and path": (lambda base, _: ["base", base.path], "twice"),
    "the same by another path": (lambda base, _: [base, base.path / "dir/.."], "twice"),
}


@pytest.mark.parametrize(("lower", "words"), BAD_LOWERS.values(), ids=BAD_LOWERS.keys())
def test_lowers_that_make_no_stack(unchanged: Lab, directory: Path, lower, words: str):
    (directory / "file").touch()
    given = lower(unchanged.layers["base"], directory)
    sentence(BadLower, lambda: unchanged.mount("new", lower=given), words)


@pytest.mark.parametrize("order", [("base", "dir"), ("dir", "base")])
def test_lowers_inside_one_another(unchanged: Lab, order: tuple[str, str]):
    base = unchanged.layers["base"].path
    lower = [base if one == "base" else base / one for one in order]
    use = lambda: unchanged.mount("new", lower=lower)  # noqa: E731
    sentence(errors.MountRefused, use, "ELOOP", "not inside one another")


def test_a_read_only_mount_of_one_lower(unchanged: Lab):
    use = lambda: unchanged.mount("new", lower=["base"], upper=False)  # noqa: E731
    sentence(errors.MountRefused, use, "EINVAL", "two lowers or more")


def test_an_unknown_layer_in_a_tree(unchanged: Lab):
    web = unchanged.mounts["web"]
    sentence(BadLower, lambda: web.tree("nope"), "no layer 'nope'", "merged, upper, base")


def test_a_layer_whose_directory_is_gone(backend: str):
    with Lab("gone", backend=backend) as lab:
        layer = lab.layer("base", {"x": "1"})
    sentence(BadLower, layer.tree, "does not exist")


# The sentences themselves.

EVERY_ERROR = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, OverlaylabError)
]


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_every_error_is_one_of_ours_and_says_when_it_is_raised(kind: type[Exception]):
    assert issubclass(kind, OverlaylabError)
    assert kind.__doc__
    assert kind.__doc__.strip().endswith(".") or "\n" in kind.__doc__


def test_wrong_values_are_value_errors_and_lookups_lookup_errors():
    assert issubclass(BadName, ValueError)
    assert issubclass(BadPath, ValueError)
    assert issubclass(BadLower, ValueError)
    assert issubclass(errors.NoSuchOverlay, LookupError)


def test_a_refusal_of_the_kernel_carries_its_number_and_words():
    refused = errors.MountRefused("The kernel refused: ask it.", 22, "overlay: no")
    assert (str(refused), refused.errno, refused.kernel_message) == (
        "The kernel refused: ask it.",
        22,
        "overlay: no",
    )


def test_a_name_with_a_newline_stays_on_one_line_of_the_sentence(unchanged: Lab):
    web = unchanged.mounts["web"]
    web.lower[0].name = "two\nlines"
    try:
        sentence(BadLower, lambda: web.tree("nope"))
    finally:
        web.lower[0].name = "base"


# What strangers wrote gets into a sentence: it stays one, and cannot steer a terminal.


def test_a_sentence_is_one_line_that_can_be_printed():
    said = str(OverlaylabError("two\nlines, \x1b[31mred\x07, \u202eback, half a pair \ud800"))
    assert said.isprintable()
    assert "red" in said


def test_a_long_sentence_keeps_its_end_which_says_what_to_do():
    said = str(OverlaylabError("The name " + "a" * 70_000 + " is too long: shorten it."))
    assert len(said) <= 2000
    assert said.startswith("The name aaa")
    assert said.endswith("aaa is too long: shorten it.")


def test_what_a_program_printed_keeps_its_lines():
    said = str(OverlaylabError("It ended.", "one\n\ttwo\x1b[2J\n"))
    assert said == "It ended. It had printed:\none\n        two\\x1b[2J\n"
    assert str(OverlaylabError("It ended.", "")) == "It ended."


def test_of_much_that_a_program_printed_the_end_is_shown():
    said = str(OverlaylabError("It ended.", "x\n" * 70_000 + "the end"))
    assert said.endswith("x\nthe end")
    assert len(said) < 2100
