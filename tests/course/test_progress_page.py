"""Exercises, quizzes, and the record of what a learner has done."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from overlaylab.course import exercise, quiz, record
from overlaylab.course.practice.exercises import all_tasks
from overlaylab.course.practice.overview import export, overview
from overlaylab.course.practice.quiz import questions
from overlaylab.errors import OverlaylabError
from overlaylab.jupyter.widgets.choices import lettered

from ..helpers import LESSONS as NOTEBOOKS

LESSONS = sorted({name.partition(".")[0] for name in all_tasks()})


@pytest.fixture(autouse=True)
def file(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record of our own, which does not exist yet."""
    path = directory / "share" / "progress.json"
    monkeypatch.setenv("OVERLAYLAB_PROGRESS", str(path))
    return path


# The record


def test_nothing_is_done_in_the_beginning(file: Path):
    assert record.read() == {}
    assert not file.exists()


def test_what_is_done_is_there_for_the_next_kernel(file: Path):
    record.add("03.1")
    content = json.loads(file.read_text())
    assert content["version"] == 1
    assert list(content["done"]) == ["03.1"]
    assert set(record.read()) == {"03.1"}


def test_what_is_done_twice_keeps_its_first_time(file: Path):
    file.parent.mkdir()
    file.write_text(json.dumps({"version": 1, "done": {"03.1": "2026-01-01T00:00:00+00:00"}}))
    record.add("03.1")
    record.add("03.2")
    assert record.read()["03.1"] == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"done": 3}',
        '{"done": [1]}',
        "null",
        "\x00",
        "[" * 100_000,
        '{"version": 2, "done": {"03.2": "then"}}',
    ],
)
def test_a_broken_file_is_kept_aside_and_stops_nothing(file: Path, text: str):
    file.parent.mkdir()
    file.write_text(text)
    assert record.read() == {}
    overview()
    record.add("03.1")
    assert set(record.read()) == {"03.1"}
    if text:
        assert file.with_name("progress.json.broken").read_text() == text


def test_bytes_that_are_no_text_stop_nothing_either(file: Path):
    file.parent.mkdir()
    file.write_bytes(b"\xff\xfe\x00")
    assert record.read() == {}
    record.add("03.1")
    assert set(record.read()) == {"03.1"}


def test_where_nothing_can_be_written_an_exercise_is_done_all_the_same(
    directory: Path, monkeypatch: pytest.MonkeyPatch
):
    (directory / "file").touch()
    monkeypatch.setenv("OVERLAYLAB_PROGRESS", str(directory / "file" / "progress.json"))
    one = exercise("00.1")
    one.overlay.sh(one.solution())
    assert one.check().done
    one.close()
    assert record.read() == {}


def test_kernels_do_not_overwrite_one_another():
    threads = [threading.Thread(target=record.add, args=(f"{n:02}.1",)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(record.read()) == 20


def test_without_a_place_of_its_own_it_is_in_the_home_directory(
    directory: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("OVERLAYLAB_PROGRESS")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(directory))
    assert record.place() == directory / ".local/share/overlaylab/progress.json"


# What is noted


def test_a_solved_exercise_is_noted_and_an_unsolved_one_is_not():
    one = exercise("00.1")
    one.check()
    assert record.read() == {}
    one.overlay.sh(one.solution())
    one.check()
    one.close()
    assert set(record.read()) == {"00.1"}


def test_a_quiz_is_noted_when_every_answer_is_right():
    lesson = LESSONS[-1]
    one, asked = quiz(lesson), questions(lesson)
    for number, question in enumerate(asked, start=1):
        assert record.read() == {}
        for letter, (_, hint) in lettered(question.choices):
            verdict = one.answer(number, letter)
            assert (verdict.done, verdict.hint) == (not hint, hint)
    assert set(record.read()) == {f"{lesson}.quiz"}


def test_a_click_on_a_choice_is_an_answer():
    lesson = LESSONS[-1]
    one, asked = quiz(lesson), questions(lesson)
    hints = {letter: hint for letter, (_, hint) in lettered(asked[0].choices)}
    wrong = next(letter for letter, hint in hints.items() if hint)
    right = next(letter for letter, hint in hints.items() if not hint)
    choices = one.children[1]
    choices._handle_custom_msg({"chosen": wrong}, [])
    assert choices.says == [f"✗ {hints[wrong]}"]
    assert choices.marks == {wrong: False}
    choices._handle_custom_msg({"chosen": right}, [])
    assert choices.says == ["✓ Right."]
    assert choices.marks == {wrong: False, right: True}
    choices._handle_custom_msg({"chosen": wrong}, [])
    assert choices.says == ["✓ Right."], "it is answered"


@pytest.mark.parametrize(("number", "letter"), [(0, "a"), (99, "a"), (1, "z"), (1, "")])
def test_an_answer_to_nothing_is_refused(number: int, letter: str):
    with pytest.raises(OverlaylabError, match=": "):
        quiz(LESSONS[-1]).answer(number, letter)


def test_a_lesson_that_is_none_has_no_quiz():
    with pytest.raises(OverlaylabError, match="no quiz '99'"):
        quiz("99")


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_question_has_one_right_answer_and_a_hint_for_each_wrong_one(lesson: str):
    asked = questions(lesson)
    assert 2 <= len(asked) <= 4
    for question in asked:
        hints = [hint for _, hint in question.choices]
        assert hints.count("") == 1
        assert len(hints) >= 2
        assert len({choice for choice, _ in question.choices}) == len(hints)
        assert len({hint for hint in hints if hint}) == len(hints) - 1, "each mistake its own hint"


# The page


def test_the_page_has_a_line_for_every_lesson():
    page = repr(overview())
    for lesson in LESSONS:
        assert f"\n{lesson}  " in page
    assert "✓" not in page
    assert f"0 of {len(all_tasks()) + len(LESSONS)} done" in page


def test_the_page_shows_what_is_done():
    record.add("00.2")
    record.add("00.quiz")
    line = next(line for line in repr(overview()).splitlines() if line.startswith("00"))
    assert line.split()[-6:] == ["·", "✓", "·", "✓", "continue", "here"]
    assert f"2 of {len(all_tasks()) + len(LESSONS)} done" in repr(overview())
    html = overview()._repr_html_()
    assert '<a href="00-start.ipynb">00 · Start here</a> <strong>continue here</strong>' in html
    assert html.count("continue here") == 1


def test_it_goes_on_with_the_first_lesson_that_is_not_whole():
    assert not overview().begun()
    assert overview().home().startswith("# overlaylab\n\n**Begin here: [00 ·")
    for name in ("00.1", "00.2", "00.3", "00.quiz", "02.1"):
        record.add(name)
    assert overview().begun()
    assert "**Continue here: [01 · See many directories as one](01-merged.ipynb)**" in (
        overview().home()
    )
    for lesson in LESSONS:
        record.add(f"{lesson}.quiz")
    for name in all_tasks():
        record.add(name)
    assert overview().following() is None
    assert "**All of it is done.**" in overview().home()


def test_each_lesson_leads_to_its_notebook():
    assert [one.file for one in overview().lessons] == [path.name for path in NOTEBOOKS]


def test_it_can_be_exported_for_a_teacher(directory: Path):
    record.add("00.2")
    target = directory / "ada.json"
    assert "ada.json" in export(str(target))
    assert json.loads(target.read_text())["done"].keys() == {"00.2"}
    with pytest.raises(OverlaylabError, match="is there already"):
        export(str(target))
    with pytest.raises(OverlaylabError, match="cannot be written"):
        export(str(directory / "no" / "such" / "place.json"))


def test_a_solution_is_folded_in_a_notebook():
    one = exercise("00.1")
    assert one.solution()._repr_html_().startswith("<details><summary>")
    assert repr(one.solution()) == "echo hello > greeting.txt"
    one.close()
