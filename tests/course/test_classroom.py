"""The progress of a class: a folder of handed-in files becomes a table."""

from __future__ import annotations

import codecs
import csv
import errno
import json
import os
import socket
from html.parser import HTMLParser
from pathlib import Path

import pytest

from overlaylab.__main__ import main
from overlaylab.course import record
from overlaylab.course.classroom import read_class
from overlaylab.course.practice.exercises import all_tasks
from overlaylab.errors import OverlaylabError
from overlaylab.files import write_new

from ..helpers import tmpfs

TASKS = list(all_tasks())
LESSONS = sorted({name.partition(".")[0] for name in TASKS})
QUIZZES = [f"{lesson}.quiz" for lesson in LESSONS]
OF_03 = [name for name in TASKS if name.startswith("03.")]
NOON = "2026-11-24T12:00:00+00:00"


@pytest.fixture
def folder(directory: Path) -> Path:
    path = directory / "spring"
    path.mkdir()
    return path


def hand_in(path: Path | bytes, *names: str, when: str = NOON) -> None:
    """Write what ``%overlay progress FILE`` writes."""
    with open(path, "w") as file:
        json.dump({"version": 1, "done": dict.fromkeys(names, when)}, file)


def cells(folder: Path) -> dict[str, dict[str, str]]:
    """Learner → heading → cell."""
    headings, *rows = read_class(folder).rows()
    return {row[0]: dict(zip(headings[1:], row[1:], strict=True)) for row in rows}


def out_of_the_table(folder: Path) -> str:
    """The one sentence about what is not in the table, which has Ada's line all the same."""
    hand_in(folder / "ada.json", "03.1")
    found = read_class(folder)
    assert [one.name for one in found.learners] == ["ada"]
    (sentence,) = found.left_out
    assert repr(found).endswith(f"\n\nNot in the table:\n{sentence}")
    assert sentence in "".join(words_of(found.page()))
    return sentence


def words_of(page: str) -> list[str]:
    """The text of a page, as a browser shows it."""
    found: list[str] = []
    parser = HTMLParser()
    parser.handle_data = found.append  # type: ignore[method-assign]
    parser.feed(page)
    return found


# The table


def test_what_a_lesson_exports_is_a_line_of_the_table(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OVERLAYLAB_PROGRESS", str(folder.parent / "progress.json"))
    record.add("03.1")
    record.add("03.quiz")
    record.export(str(folder / "ada.json"))
    line = cells(folder)["ada"]
    assert {heading: cell for heading, cell in line.items() if cell != "·"} == {
        "03": "1",
        "quizzes": "1",
        "total": "2",
        "last activity (UTC)": max(record.read().values())[:16].replace("T", " "),
    }


def test_there_is_a_column_for_each_lesson_and_a_line_for_what_there_is(folder: Path):
    hand_in(folder / "ada.json")
    of = cells(folder)["of"]
    assert [*of] == [*LESSONS, "quizzes", "total", "last activity (UTC)"]
    assert of["03"] == str(len(OF_03))
    assert of["quizzes"] == str(len(QUIZZES))
    assert of["total"] == str(len(TASKS) + len(QUIZZES))


def test_the_last_line_counts_those_who_have_all_of_a_lesson(folder: Path):
    hand_in(folder / "ada.json", *OF_03)
    hand_in(folder / "bob.json", *OF_03[1:], *QUIZZES)
    hand_in(folder / "cem.json", *TASKS, *QUIZZES)
    *_, last = read_class(folder).rows()
    assert last[0] == "have all"
    line = cells(folder)["have all"]
    assert (line["03"], line["04"], line["quizzes"], line["total"]) == ("2", "1", "2", "1")


def test_learners_are_sorted_and_have_the_names_of_their_files(folder: Path):
    for name in ("bob.json", "Ada.json", "cem.v2.json", "dora"):
        hand_in(folder / name)
    assert [*cells(folder)] == ["of", "Ada", "bob", "cem.v2", "dora", "have all"]


def test_two_files_that_would_have_one_name_keep_their_suffixes(folder: Path):
    hand_in(folder / "ada.json", "03.1")
    hand_in(folder / "ada.txt")
    assert [*cells(folder)] == ["of", "ada.json", "ada.txt", "have all"]


def test_what_this_course_does_not_know_is_not_counted(folder: Path):
    hand_in(folder / "ada.json", "99.1", "03.99", "nonsense", "")
    assert cells(folder)["ada"]["total"] == "·"


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        ([NOON, "2026-11-25T01:30:59+02:00"], "2026-11-24 23:30"),
        (["2026-11-24T12:00:00", "2026-11-24T11:00:00+00:00"], "2026-11-24 12:00"),
        (["yesterday", NOON], "2026-11-24 12:00"),
        (["", "\x1b[31m", "0001-01-01T00:00:00+14:00"], ""),
    ],
    ids=["zones", "no zone", "no time", "none at all"],
)
def test_the_last_activity_is_the_latest_time_in_utc(folder: Path, times: list[str], shown: str):
    done = dict(zip(TASKS, times, strict=False))
    (folder / "ada.json").write_text(json.dumps({"version": 1, "done": done}))
    assert cells(folder)["ada"]["last activity (UTC)"] == shown


# What is no progress file is named, and loses nothing


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"[" * 100_000,
        b"\xff\xfe\x00",
        b'{"version": 1}',
        b'{"version": 1, "done": [1]}',
        b'{"version": 2, "done": {}}',
        b'{"done": {"03.1": "then"}}',
        b'{"version": 1, "done": ' + b"9" * 5000 + b"}",
        b"%PDF-1.7",
    ],
    ids=lambda content: repr(content[:24]),
)
def test_a_broken_or_foreign_file_is_named(folder: Path, content: bytes):
    (folder / "bob.json").write_bytes(content)
    assert out_of_the_table(folder) == (
        "bob.json is no progress file, or one of another version: ask for the file that "
        "'%overlay progress FILE' writes."
    )


def test_a_huge_file_is_not_read(folder: Path):
    (folder / "bob.json").touch()
    os.truncate(folder / "bob.json", 1 << 40)
    assert "bob.json cannot be read (it has more than 1 MiB)" in out_of_the_table(folder)


def test_a_pipe_is_not_waited_for(folder: Path):
    os.mkfifo(folder / "bob.json")
    assert "bob.json cannot be read (it is not a regular file)" in out_of_the_table(folder)


def test_a_socket_is_named(folder: Path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "bob.json"))
        assert "bob.json cannot be read" in out_of_the_table(folder)


def test_a_directory_is_named_and_not_entered(folder: Path):
    (folder / "more").mkdir()
    hand_in(folder / "more" / "bob.json", "03.1")
    assert "more cannot be read (Is a directory)" in out_of_the_table(folder)


@pytest.mark.parametrize("target", ["other.json", "nowhere", "bob.json", "/dev/zero"])
def test_a_link_is_not_followed(folder: Path, target: str):
    hand_in(folder.parent / "other.json", "03.1")
    (folder / "bob.json").symlink_to(folder.parent / target if target[0] == "o" else target)
    assert out_of_the_table(folder).startswith("bob.json is a link:")


def test_a_file_that_may_not_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Root may read everything, so the refusal is played."""
    (folder / "bob.json").touch()
    really = os.open

    def refuse(path: Path, *arguments: int, **more: int) -> int:
        if os.fspath(path).endswith("bob.json"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return really(path, *arguments, **more)

    monkeypatch.setattr(os, "open", refuse)
    assert "bob.json cannot be read (Permission denied)" in out_of_the_table(folder)


def test_what_was_handed_in_stays_as_it_was(folder: Path):
    hand_in(folder / "ada.json", "03.1")
    (folder / "bob.json").write_text("{")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    read_class(folder).page()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# Hostile names

NAMES = {
    "a newline": b"a\nb",
    "an escape": b"\x1b[31mred",
    "no UTF-8": b"\xff\xfe",
    "markup": b"<script>alert(1)<&\"'",
    "text that runs backwards": "\u202eevil".encode(),
    "long": b"n" * 240,
    **{f"a formula with {sign}": f"{sign}1+cmd|' '!A1".encode() for sign in "=+-@"},
    "a formula after a blank": b" =1",
    "a formula after a semicolon": b'a;=1;"',
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_hostile_name_does_no_harm(folder: Path, name: bytes, capsys: pytest.CaptureFixture[str]):
    hand_in(os.fsencode(folder) + b"/" + name + b".json", "03.1")
    hand_in(folder / "zoe.json")
    found = read_class(folder)
    target = folder.parent / "class"
    assert main(["class", str(folder), "--csv", f"{target}.csv", "--html", f"{target}.html"]) == 0

    words = capsys.readouterr().out
    assert words.replace("\n", "").isprintable()
    assert len([line for line in words.splitlines() if line.endswith("12:00")]) == 1

    page = (folder.parent / "class.html").read_text()
    assert page == found.page()
    assert "<script" not in page
    assert found.rows()[2][0] in words_of(page)

    text = (folder.parent / "class.csv").read_text(encoding="utf-8-sig")
    _, line, *_ = csv.reader(text.splitlines())
    assert len(text.splitlines()) == 3
    assert line[0].lstrip()[0] not in "=+-@"
    assert line[0].removeprefix("'") == found.rows()[2][0]
    assert f";{line[0]};" not in text, "each cell is quoted"


def test_a_hostile_name_of_a_foreign_file_does_no_harm(folder: Path):
    (folder / "a\n<b>\x1b.json").touch()
    assert r"a\n<b>\x1b.json is no progress file" in out_of_the_table(folder)
    assert "<b>" not in read_class(folder).page()


# The command


def test_the_command_prints_the_table(folder: Path, capsys: pytest.CaptureFixture[str]):
    hand_in(folder / "ada.json", "03.1")
    assert main(["class", str(folder)]) == 0
    output, errors = capsys.readouterr()
    assert (output, errors) == (f"{read_class(folder)!r}\n", "")
    assert output.splitlines()[2].split()[:5] == ["ada", "·", "·", "·", "1"]


def test_the_csv_has_a_line_for_each_learner_and_numbers(folder: Path):
    hand_in(folder / "ada.json", "03.1")
    hand_in(folder / "bob.json")
    target = folder.parent / "class.csv"
    assert main(["class", str(folder), "--csv", str(target)]) == 0
    with target.open(encoding="utf-8-sig", newline="") as file:
        ada, bob = csv.DictReader(file)
    assert (ada["learner"], ada["03"], ada["04"], ada["total"]) == ("ada", "1", "0", "1")
    assert (bob["learner"], bob["total"], bob["last activity (UTC)"]) == ("bob", "0", "")


def test_a_spreadsheet_is_told_that_the_csv_is_utf_8(folder: Path):
    hand_in(folder / "zoë.json")
    content = read_class(folder).csv().encode()
    assert content.startswith(codecs.BOM_UTF8)
    assert "zoë".encode() in content


def test_the_page_is_one_file(folder: Path):
    hand_in(folder / "ada.json", "03.1")
    page = read_class(folder).page()
    assert "Progress: spring" in words_of(page)
    assert [word for word in ("src=", "href=", "url(", "@import", "http") if word in page] == []


@pytest.mark.parametrize("option", ["--csv", "--html"])
def test_a_file_that_is_there_is_not_replaced(
    folder: Path, option: str, capsys: pytest.CaptureFixture[str]
):
    hand_in(folder / "ada.json", "03.1")
    before = (folder / "ada.json").read_bytes()
    assert main(["class", str(folder), option, str(folder / "ada.json")]) == 1
    assert "is there already: choose another name" in capsys.readouterr().err
    assert (folder / "ada.json").read_bytes() == before


def test_where_it_cannot_be_written_is_a_sentence(folder: Path, capsys: pytest.CaptureFixture[str]):
    hand_in(folder / "ada.json", "03.1")
    assert main(["class", str(folder), "--html", str(folder / "no" / "class.html")]) == 1
    assert "cannot be written (No such file or directory): choose" in capsys.readouterr().err


def test_a_full_disk_leaves_no_half_of_a_file(directory: Path):
    with tmpfs(directory / "small", "size=4k") as small:
        with pytest.raises(OverlaylabError, match="No space left on device"):
            write_new(str(small / "class.html"), "x" * 5000)
        assert list(small.iterdir()) == []


@pytest.mark.parametrize("what", ["empty", "none", "file", "foreign"])
def test_without_a_progress_file_there_is_a_sentence_and_status_1(
    folder: Path, what: str, capsys: pytest.CaptureFixture[str]
):
    place = {"none": folder / "none", "file": folder / "file"}.get(what, folder)
    if what in ("file", "foreign"):
        (folder / "file").write_text("text")
    assert main(["class", str(place)]) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.count("\n") == 1
    assert {
        "empty": f"{place} holds no progress file, and 0 others: put into it",
        "none": f"{place} cannot be read (No such file or directory): name the folder",
        "file": f"{place} cannot be read (Not a directory): name the folder",
        "foreign": "The first of the others: file is no progress file",
    }[what] in errors
