"""``overlaylab course``: the copy of the lessons, what an update does to it, and a wheel alone."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaylab import Image, Lab, course_command
from overlaylab.__main__ import main
from overlaylab.course.practice import record
from overlaylab.errors import CourseRefused
from overlaylab.handout import handout
from overlaylab.merging import merge, parse

from .helpers import ROOT, lacking, tree

Asker = Callable[[str], bytes]


def cell(name: str, source: str, **more: object) -> dict[str, object]:
    """A cell of code; its output is its source, in capitals."""
    outputs = [{"output_type": "stream", "name": "stdout", "text": [source.upper()]}]
    code = {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": outputs}
    return {"id": name, "source": source.splitlines(keepends=True), **code, **more}


def book(*cells: dict[str, object], **metadata: object) -> bytes:
    whole = {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode()


def texts(content: bytes) -> list[str]:
    return ["".join(one["source"]) for one in json.loads(content)["cells"]]


A, B, C, D = (cell(name, f"text {name}\n") for name in "abcd")
B2 = cell("b", "new text b\n")


class Course:
    """A package whose lessons can change, and a learner's copy of them."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = directory / "mine"
        self.lessons = {"00.ipynb": book(A, B, C), "GLOSSARY.md": b"words\n"}
        monkeypatch.setattr(course_command, "lessons", lambda: dict(sorted(self.lessons.items())))
        self.copy()

    def copy(self, *, update: bool = False) -> str:
        return "\n".join(course_command.copy(self.path, update=update))

    def __getitem__(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def __setitem__(self, name: str, content: bytes) -> None:
        (self.path / name).write_bytes(content)

    def names(self) -> set[str]:
        return {path.name for path in self.path.iterdir()} - {".overlaylab"}


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    return Course(tmp_path, monkeypatch)


# The first copy, and what is there already.


def test_a_copy_is_what_the_package_has(tmp_path: Path) -> None:
    said = list(course_command.copy(tmp_path / "new/place"))
    copied = {path.name: path.read_bytes() for path in (tmp_path / "new/place").glob("[!.]*")}
    assert said == [f"The course is in {tmp_path}/new/place: {len(copied)} files."]
    assert copied == {
        path.name: handout(path.read_bytes()) if path.suffix == ".ipynb" else path.read_bytes()
        for path in (ROOT / "notebooks").iterdir()
        if path.is_file()
    }
    assert next(iter(course_command.lessons())) == "00-start.ipynb"


def test_files_have_the_rights_that_files_have_here(course: Course) -> None:
    (course.path / "other").touch()
    mode = (course.path / "other").stat().st_mode
    assert (course.path / "00.ipynb").stat().st_mode == mode


def test_a_lesson_that_is_there_stays_and_one_that_is_not_is_copied(course: Course) -> None:
    course["00.ipynb"] = b"mine"
    (course.path / "GLOSSARY.md").unlink()
    course.lessons["01.ipynb"] = book(D)
    said = course.copy()
    assert course["00.ipynb"] == b"mine"
    assert course["GLOSSARY.md"] == b"words\n"
    assert course["01.ipynb"] == book(D)
    assert "01.ipynb was not there, and is copied." in said


def test_that_there_is_a_new_text_is_said_and_nothing_is_changed(course: Course) -> None:
    assert "--update" not in course.copy()
    course.lessons["00.ipynb"] = book(A, B2, C)
    before = tree(course.path)
    assert "Files that have changed in the course: 1. --update brings that." in course.copy()
    assert tree(course.path) == before


def test_a_lesson_that_has_another_name_now_is_renamed_and_keeps_what_is_in_it(
    course: Course,
) -> None:
    course.lessons["03-watch.ipynb"] = book(A, B, C)
    course.copy()
    course["03-watch.ipynb"] = book(A, cell("b", "mine"), C)
    course.lessons["03-copy-up.ipynb"] = course.lessons.pop("03-watch.ipynb")
    assert "03-watch.ipynb is called 03-copy-up.ipynb now." in course.copy()
    assert course.names() == {"00.ipynb", "03-copy-up.ipynb", "GLOSSARY.md"}
    course.lessons["03-copy-up.ipynb"] = book(A, B, C, D)
    course.copy(update=True)
    assert texts(course["03-copy-up.ipynb"]) == [*texts(book(A, cell("b", "mine"), C)), "text d\n"]


def test_the_home_page_is_made_anew_unless_the_learner_has_written_in_it(course: Course) -> None:
    def copy(home: str) -> None:
        list(course_command.copy(course.path, home=home))

    copy("begin")
    copy("go on")
    assert course["home.md"] == b"go on"
    course["home.md"] = b"mine"
    copy("go on further")
    assert course["home.md"] == b"mine"


# What an update does.


def test_an_untouched_lesson_is_replaced(course: Course) -> None:
    course.lessons["00.ipynb"] = book(B2, D, A)
    assert (
        "00.ipynb: is brought up to date.\nFiles that have not changed in the course: 1."
        in course.copy(update=True)
    )
    assert course["00.ipynb"] == book(B2, D, A)
    assert course.names() == {"00.ipynb", "GLOSSARY.md"}


def test_without_a_new_text_nothing_is_written(course: Course) -> None:
    course["00.ipynb"] = book(C, cell("b", "my text"))
    before = tree(course.path, times=True)
    course.copy(update=True)
    assert tree(course.path, times=True) == before


def test_outputs_are_no_edits_and_stay_where_the_text_does(course: Course) -> None:
    ran = [{**one, "execution_count": 7, "outputs": []} for one in (A, B, C)]
    course["00.ipynb"] = book(*ran)
    course.lessons["00.ipynb"] = book(A, B2, C)
    assert "00.ipynb: is brought up to date." in course.copy(update=True)
    assert course["00.ipynb"] == book(ran[0], B2, ran[2])
    assert course.names() == {"00.ipynb", "GLOSSARY.md"}


def test_a_new_output_comes_to_a_cell_that_was_not_run(course: Course) -> None:
    course["00.ipynb"] = book(A, cell("b", "my answer\n"), C)
    course.lessons["00.ipynb"] = book(A, B, {**C, "outputs": []})
    course.copy(update=True)
    assert course["00.ipynb"] == book(A, cell("b", "my answer\n"), {**C, "outputs": []})


def test_an_answer_stays_beside_new_text_and_the_file_as_it_was_is_kept(course: Course) -> None:
    mine = book(A, B, cell("c", "my answer\n"))
    course["00.ipynb"] = mine
    course.lessons["00.ipynb"] = book(A, B2, D, C)
    said = course.copy(update=True)
    assert texts(course["00.ipynb"]) == ["text a\n", "new text b\n", "text d\n", "my answer\n"]
    assert course["before-update-1/00.ipynb"] == mine
    assert "cells that are new, renewed or gone: 2; cells of yours, which stay: 1" in said
    assert "before-update-1/00.ipynb" in said
    assert "Files that have not changed in the course: 2." in course.copy(update=True)


def test_where_both_have_edited_a_cell_mine_stays_and_the_other_is_beside(course: Course) -> None:
    course["00.ipynb"] = book(A, cell("b", "my text\n"), C)
    course.lessons["00.ipynb"] = book(A, B2, C)
    said = course.copy(update=True)
    assert texts(course["00.ipynb"]) == ["text a\n", "my text\n", "text c\n"]
    assert course["00.new-1.ipynb"] == book(A, B2, C)
    assert "of yours, cells that have a new text as well: 1. It is in 00.new-1.ipynb" in said
    course.lessons["00.ipynb"] = book(A, cell("b", "newer text b\n"), C)
    assert "00.new-2.ipynb" in course.copy(update=True)
    assert course["00.new-1.ipynb"] == book(A, B2, C)
    assert (course.path / "before-update-2/00.ipynb").exists()


def test_an_added_cell_stays_behind_the_one_that_it_follows(course: Course) -> None:
    note, first = cell("xyz", "my note\n"), cell("uvw", "first\n")
    course["00.ipynb"] = book(first, A, B, note, C)
    course.lessons["00.ipynb"] = book(D, A, B2, cell("e", "text e\n"), C)
    course.copy(update=True)
    assert texts(course["00.ipynb"]) == [
        *("first\n", "text d\n", "text a\n", "new text b\n", "my note\n", "text e\n", "text c\n")
    ]


def test_a_deleted_cell_stays_away(course: Course) -> None:
    course["00.ipynb"] = book(A, C)
    course.lessons["00.ipynb"] = book(A, B2, D, C)
    course.copy(update=True)
    assert texts(course["00.ipynb"]) == ["text a\n", "text d\n", "text c\n"]


def test_a_moved_cell_stays_where_it_is_and_has_its_new_text(course: Course) -> None:
    course["00.ipynb"] = book(B, C, A)
    course.lessons["00.ipynb"] = book(A, B2, D, C)
    course.copy(update=True)
    assert texts(course["00.ipynb"]) == ["new text b\n", "text d\n", "text c\n", "text a\n"]


def test_what_the_package_has_taken_out_goes_unless_it_was_edited(course: Course) -> None:
    course["00.ipynb"] = book(cell("a", "my text\n"), B, C)
    course.lessons["00.ipynb"] = book(C)
    course.copy(update=True)
    assert texts(course["00.ipynb"]) == ["my text\n", "text c\n"]


def test_cells_that_were_numbered_again_are_still_the_same(course: Course) -> None:
    """A cell came in at the top, and every other one has the id that the next one had."""
    course.lessons["00.ipynb"] = book(*(cell(f"00-0{n}", f"text {n}\n") for n in range(4)))
    course.copy(update=True)
    mine = [cell(f"00-0{n}", f"text {n}\n") for n in range(4)]
    mine[2] = cell("00-02", "my answer\n")
    course["00.ipynb"] = book(*mine)
    again = [cell(f"00-0{n + 1}", f"text {n}\n") for n in range(4)]
    course.lessons["00.ipynb"] = book(cell("00-00", "news\n"), *again)
    course.copy(update=True)
    merged = json.loads(course["00.ipynb"])["cells"]
    assert [(one["id"], "".join(one["source"])) for one in merged] == [
        *(("00-00", "news\n"), ("00-01", "text 0\n"), ("00-02", "text 1\n")),
        *(("00-03", "my answer\n"), ("00-04", "text 3\n")),
    ]


def test_a_lesson_that_left_the_course_stays(course: Course) -> None:
    del course.lessons["00.ipynb"]
    course.lessons["01.ipynb"] = book(D)
    said = course.copy(update=True)
    assert "01.ipynb was not there, and is copied." in said
    assert "00.ipynb is not in the course any more. Yours stays." in said
    assert course.names() == {"00.ipynb", "01.ipynb", "GLOSSARY.md"}
    assert "any more" not in course.copy(update=True)


def test_a_page_that_was_edited_stays_and_the_new_one_is_beside(course: Course) -> None:
    course["GLOSSARY.md"] = b"my words\n"
    course.lessons["GLOSSARY.md"] = b"new words\n"
    assert "The new text: GLOSSARY.new-1.md" in course.copy(update=True)
    assert (course["GLOSSARY.md"], course["GLOSSARY.new-1.md"]) == (b"my words\n", b"new words\n")


NO_ID = book({key: value for key, value in A.items() if key != "id"})
BROKEN = {
    "cut off": book(A, B, C)[:99],
    "empty": b"",
    "no object": b"[1, 2]",
    "no list of cells": b'{"cells": 3}',
    "cells that are none": b'{"cells": [3]}',
    "no UTF-8": b"\xff\xfe",
    "too deep": b"[" * 100_000,
    "conflict of git": b"<<<<<<<\n" + book(A),
    "no ids": NO_ID,
    "an id twice": book(A, B, B),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_merged_stays_and_is_merged_once_it_is_mended(
    course: Course, content: bytes
) -> None:
    course["00.ipynb"] = content
    course.lessons["00.ipynb"] = book(A, B2, C)
    for _ in range(2):
        said = course.copy(update=True)
        assert "00.ipynb: stays, for it cannot be merged: it is no notebook" in said
        assert course["00.ipynb"] == content
        assert course["00.new-1.ipynb"] == book(A, B2, C)
    assert course.names() == {"00.ipynb", "00.new-1.ipynb", "GLOSSARY.md"}
    course["00.ipynb"] = book(A, B, cell("c", "mended\n"))
    course.copy(update=True)
    assert texts(course["00.ipynb"]) == ["text a\n", "new text b\n", "mended\n"]


def test_without_an_original_a_lesson_is_the_learners(course: Course) -> None:
    shutil.rmtree(course.path / ".overlaylab")
    del course.lessons["GLOSSARY.md"]
    before = tree(course.path, times=True)
    course.copy()
    assert tree(course.path, times=True) == before
    course["00.ipynb"] = book(A, cell("b", "my text\n"), C)
    course.lessons["00.ipynb"] = book(A, B2, C)
    said = course.copy(update=True)
    assert "its original is missing. The new text: 00.new-1.ipynb" in said
    assert texts(course["00.ipynb"])[1] == "my text\n"
    # Once it says the same, it is known again.
    course["00.ipynb"] = book(A, {**B2, "outputs": []}, C)
    course.copy(update=True)
    course.lessons["00.ipynb"] = book(A, B, C)
    assert "00.ipynb: is brought up to date." in course.copy(update=True)


def test_half_a_surrogate_pair_and_letters_of_every_kind_stay(course: Course) -> None:
    course["00.ipynb"] = book(A, cell("b", "é \ud800 漢\n"), C)
    course.lessons["00.ipynb"] = book(D, A, B, C)
    course.copy(update=True)
    assert texts(course["00.ipynb"])[2] == "é \ud800 漢\n"


def test_a_link_stays_a_link(course: Course) -> None:
    (course.path / "00.ipynb").rename(course.path / "elsewhere.ipynb")
    (course.path / "00.ipynb").symlink_to("elsewhere.ipynb")
    course.lessons["00.ipynb"] = book(A, B2, C)
    course.copy(update=True)
    assert (course.path / "00.ipynb").is_symlink()
    assert course["elsewhere.ipynb"] == book(A, B2, C)


@pytest.mark.parametrize("write", range(1, 4))
def test_an_update_that_ends_early_can_be_given_again(
    course: Course, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    mine = book(A, B, cell("c", "my answer\n"), cell("x", "note\n"))
    course["00.ipynb"] = mine
    course.lessons["00.ipynb"] = book(A, B2, D, C)
    with monkeypatch.context() as patch:
        full_at(patch, write)
        with pytest.raises(CourseRefused):
            course.copy(update=True)
    names = {path.name for path in course.path.rglob("*") if path.name.endswith(".part")}
    assert names == set()
    course.copy(update=True)
    assert texts(course["00.ipynb"]) == [
        *("text a\n", "new text b\n", "text d\n", "my answer\n", "note\n")
    ]


def full_at(monkeypatch: pytest.MonkeyPatch, write: int) -> None:
    """The disk is full at the write of this number, in the middle of it."""
    left = [write]

    def fsync(_: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(course_command.os, "fsync", fsync)


@st.composite
def edited(draw: st.DrawFn, who: str, new: str) -> tuple[list[str], dict[str, str]]:
    """The ids of a notebook in some order, some of them with a text of who's own."""
    ids = draw(st.lists(st.sampled_from("abcdef" + new), unique=True))
    own = draw(st.sets(st.sampled_from(ids))) if ids else set()
    return ids, {one: f"{who} {one}" if one in own | set(new) else one for one in ids}


@given(edited("mine", "xy"), edited("new", "pq"))
def test_whatever_was_edited_nothing_is_lost(
    mine: tuple[list[str], dict[str, str]], new: tuple[list[str], dict[str, str]]
) -> None:
    notebooks = [
        parse(book(*(cell(one, say[one]) for one in ids)))
        for ids, say in ((list("abcdef"), dict(zip("abcdef", "abcdef", strict=True))), mine, new)
    ]
    merged = merge(*notebooks)  # type: ignore[arg-type]
    found = dict(zip((one["id"] for one in json.loads(merged.content)["cells"]),
                     texts(merged.content), strict=True))  # fmt: skip
    assert set(found.values()) >= {text for text in mine[1].values() if text.startswith("mine")}
    edits = {one for one, text in mine[1].items() if text.startswith("mine")}
    deleted = set("abcdef") - set(mine[0])
    assert {one: text for one, text in found.items() if one not in edits} == {
        one: text for one, text in new[1].items() if one not in edits | deleted
    }
    again = parse(merged.content)
    assert again is not None
    assert merge(notebooks[2], again, notebooks[2]).content == merged.content  # type: ignore[arg-type]


# What is refused.


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The sentence with which the command refuses."""
    assert main(["course", *words]) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("overlaylab: ")
    assert errors.count("\n") == 1
    return errors


def test_a_file_is_no_place_for_lessons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "gone").symlink_to("nowhere")
    for place in ("file", "gone"):
        said = refusal(capsys, "--no-lab", str(tmp_path / place))
        assert f"{tmp_path / place} is no directory, and the lessons need one" in said
    assert "Not a directory" in refusal(capsys, "--no-lab", str(tmp_path / "file/below"))
    assert (tmp_path / "file").read_text() == "x"


def test_a_directory_with_other_things_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    assert "holds other files and no lesson" in refusal(capsys, "--no-lab", str(tmp_path))
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_hidden_things_and_lessons_that_came_from_elsewhere_are_no_others(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "00-start.ipynb").write_text("x")
    assert main(["course", "--no-lab", str(tmp_path)]) == 0
    assert (tmp_path / "00-start.ipynb").read_text() == "x"


def test_a_full_disk_leaves_whole_files_and_the_command_can_be_given_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "course"
    with monkeypatch.context() as patch:
        full_at(patch, 8)
        assert "No space left on device" in refusal(capsys, "--no-lab", str(place))
    lessons = course_command.lessons()
    assert all(
        path.read_bytes() == lessons[path.name]
        for path in place.rglob("*")
        if path.is_file() and path.name != course_command.HOME
    )
    assert main(["course", "--no-lab", str(place)]) == 0
    copied = {path.name: path.read_bytes() for path in place.glob("[!.]*")}
    assert copied.pop(course_command.HOME).startswith(b"# overlaylab")
    assert copied == lessons


def test_a_place_that_cannot_be_written_is_a_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "/proc/course" in refusal(capsys, "--no-lab", "/proc/course")


def test_without_jupyterlab_it_says_what_to_install_and_copies_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course_command.importlib.util, "find_spec", lambda _: None)
    said = refusal(capsys, str(tmp_path / "course"))
    assert "no jupyterlab" in said
    assert 'pip install "overlaylab[course]" installs it.' in said
    assert os.listdir(tmp_path) == []


# How JupyterLab is started.


def test_options_and_words_reach_jupyterlab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execve", lambda _, words, __: started.append(words))
    monkeypatch.setenv("OVERLAYLAB_PROGRESS", str(tmp_path / "progress.json"))
    place = tmp_path / "a place"
    command = ["course", str(place), "--no-browser", "--port", "8899", "--", "--ip=::", "-y"]
    assert main(command) == 0
    (words,) = started
    assert words[:4] == [sys.executable, "-P", "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={place}" in words
    assert "--LabApp.default_url=/lab/tree/00-start.ipynb" in words
    assert {"--no-browser", "--port=8899"} <= set(words)
    assert words[-2:] == ["--ip=::", "-y"]
    record.add("00.1")
    assert main(command) == 0
    assert "--LabApp.default_url=/lab/tree/home.md" in started[-1]


def test_the_place_has_a_name_if_nobody_gives_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["course", "--no-lab"]) == 0
    assert capsys.readouterr().out == "The course is in overlaylab-course: 17 files.\n"
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "overlaylab-course/" in ignored  # a checkout does not see a learner's work


# From a wheel, without the checkout.


def run(*words: str | Path, cwd: Path, status: int = 0) -> str:
    """What a command says that sees nothing of this checkout."""
    done = subprocess.run(words, cwd=cwd, env=outside(cwd), capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def outside(directory: Path) -> dict[str, str]:
    """The environment of somebody with another home, who has never heard of this checkout."""
    names = ("PYTHONPATH", "PYTEST_VERSION", "VIRTUAL_ENV", "JUPYTER_PATH", "JUPYTER_CONFIG_PATH")
    return {
        **{name: value for name, value in os.environ.items() if name not in names},
        "JUPYTER_DATA_DIR": str(directory / "data"),
        "JUPYTER_CONFIG_DIR": str(directory / "config"),
        "JUPYTER_RUNTIME_DIR": str(directory / "runtime"),
        "IPYTHONDIR": str(directory / "ipython"),
        "OVERLAYLAB_PROGRESS": str(directory / "progress.json"),
        "OVERLAYLAB_SCRATCH": str(directory),
    }


def uv(*words: str | Path) -> None:
    done = subprocess.run([sys.executable, "-m", "uv", *words], capture_output=True, text=True)
    if done.returncode:
        lacking("uv, and the packages of the course", done.stderr)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--wheel", "--out-dir", place, ROOT)
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel, the course's packages and nbval."""
    place = tmp_path_factory.mktemp("environment")
    # Another Python than that of the tests: WHEEL_PYTHON=python3.13 pytest -k wheel
    python = os.environ.get("WHEEL_PYTHON", sys.executable)
    uv("venv", "--quiet", "--python", python, place / "venv")
    packages = (f"overlaylab[course] @ {wheel.as_uri()}", "nbval")
    lock = ("--constraint", ROOT / "requirements.lock")
    uv("pip", "install", "--quiet", "--python", place / "venv/bin/python", *lock, *packages)
    return place / "venv/bin"


def test_the_wheel_alone_serves_the_course_and_its_first_lesson_runs(
    installed: Path, directory: Path
) -> None:
    where = "import overlaylab; print(overlaylab.__file__)"
    assert str(installed.parent) in run(installed / "python", "-c", where, cwd=directory)
    with serving(installed, directory) as ask:
        found = json.loads(ask("api/contents"))["content"]
        names = {one["name"] for one in found}
        assert names == {*course_command.lessons(), course_command.HOME}
        lesson = json.loads(ask("api/contents/00-start.ipynb"))["content"]
        assert lesson["metadata"]["kernelspec"]["name"] == "overlaylab"
        assert "overlaylab" in json.loads(ask("api/kernelspecs"))["kernelspecs"]
        # It opens at the first lesson, and asks nothing about Jupyter's news.
        page = ask("").decode()
        assert "apputils-extension:announcements" in page
        assert "00-start.ipynb" in page
    shutil.copy(ROOT / "conftest.py", directory / "course")
    said = run(
        *(installed / "python", "-m", "pytest", "-p", "no:cacheprovider", "--nbval"),
        "00-start.ipynb",
        cwd=directory / "course",
    )
    assert " passed" in said
    assert "code cells compared" in said


@contextlib.contextmanager
def serving(programs: Path, place: Path) -> Iterator[Asker]:
    """``overlaylab course`` in `place`, while the block runs; what asks its server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [programs / "overlaylab", "course", place / "course", "--no-browser"]
    command += ["--port", str(port), "--", f"--IdentityProvider.token={token}"]

    def ask(path: str) -> bytes:
        address = f"http://127.0.0.1:{port}/{path}"
        headers = {"Authorization": f"token {token}"}
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
            return bytes(answer.read())

    with open(place / "log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=place, env=outside(place))
    try:
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                ask("api")
                break
            if server.poll() is not None or time.monotonic() > end:
                pytest.fail(f"JupyterLab does not answer:\n{(place / 'log').read_text()}")
            time.sleep(0.2)
        yield ask
    finally:
        server.terminate()
        server.wait(30)


def test_the_other_commands_of_the_wheel(installed: Path, directory: Path, kernel_lab: Lab) -> None:
    overlaylab = installed / "overlaylab"
    assert run(overlaylab, "--version", cwd=directory) == "overlaylab 0.1.0\n"
    doctor = run(overlaylab, "doctor", cwd=directory)
    assert re.search(r"^backend +kernel: ", doctor, re.MULTILINE)
    base = kernel_lab.layer("base", {"old": "x"})
    web = kernel_lab.mount("web", lower=[base])
    web.sh("rm old")
    said = run(overlaylab, "diff", web.upper, "--lower", base.path, cwd=directory)
    assert said == "whiteout  old\n"
    Image.from_layers([base]).save(directory / "image", format="oci")
    assert "visible      1 B" in run(overlaylab, "inspect", "image", cwd=directory)


def test_the_wheel_without_the_extra_says_what_is_missing(wheel: Path, tmp_path: Path) -> None:
    uv("venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    uv("pip", "install", "--quiet", "--python", tmp_path / "venv/bin/python", wheel)
    said = run(tmp_path / "venv/bin/overlaylab", "course", cwd=tmp_path, status=1)
    assert said.count("\n") == 1
    assert 'pip install "overlaylab[course]" installs it.' in said
    assert not (tmp_path / "overlaylab-course").exists()
