"""``%%predict``: a cell that runs at once, and shows what it did when its question is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from overlaylab.course.practice.contents import lesson, lessons, text
from overlaylab.course.practice.prediction import answers
from overlaylab.errors import OverlaylabError
from overlaylab.handout import handout

from ..course.test_notebooks import needs_of
from ..helpers import LESSONS
from ..kernels import Kernel

EVERY = [f"{one}.{slug}" for one in lessons() for slug in text(one).get("predictions", {})]

SETUP = """
from overlaylab import Lab
lab = Lab("asked")
web = lab.mount("web", lower=[lab.layer("base", {"var/log/app.log": "x" * 67_108_864})])
"""
ASK = "%%predict 03.append\n%%overlay web\nprintf x >> var/log/app.log"


@pytest.fixture
def kernel(notebook: Kernel) -> Kernel:
    """A kernel that knows no name yet."""
    notebook.run("%reset -f")
    return notebook


@pytest.fixture
def asked(kernel: Kernel) -> Iterator[Kernel]:
    """A kernel with the stack of a question."""
    assert kernel.run(SETUP).error is None
    yield kernel
    kernel.run("lab.close()")


def said(kernel: Kernel, letter: str) -> list[str]:
    """What is said when that answer is chosen."""
    kernel.run("one = _")
    printed = kernel.run(f"one.choose({letter!r}); import json; print(json.dumps(one.said))")
    return list(json.loads(printed.stdout))


def test_the_cell_runs_at_once_and_what_it_shows_is_kept(asked: Kernel):
    ran = asked.run(ASK)
    assert ran.stdout == ""
    assert len(ran.shown) == 1
    assert "application/vnd.jupyter.widget-view+json" in ran.shown[0]
    assert asked.run("_.said").text == "[]"
    assert asked.run("(web.upper / 'var/log/app.log').stat().st_size").text == "67108865"


def test_its_words_for_a_page_without_a_kernel(asked: Kernel):
    assert asked.run(ASK).text.splitlines() == [
        "a)  1 byte",
        "b)  4,096 bytes",
        "c)  67,108,865 bytes",
        "",
        "upper:  copied-up  var/log/app.log  64 MiB + 1 B",
        "",
        "What happened: 67,108,865 bytes",
    ]


def test_a_wrong_answer_gets_its_reason_what_happened_and_the_right_idea(asked: Kernel):
    asked.run(ASK)
    wrong, happened, right = said(asked, "a")
    given = answers("03.append")
    assert wrong == f"✗ {given.says[0]}"
    assert happened == "What happened: 67,108,865 bytes"
    assert right == given.says[2]


def test_a_right_answer_gets_its_reason(asked: Kernel):
    asked.run(ASK)
    right, happened = said(asked, "c")
    assert right == f"✓ Right. {answers('03.append').says[2]}"
    assert happened == "What happened: 67,108,865 bytes"


def test_what_the_cell_showed_appears_with_the_choice(asked: Kernel):
    asked.run(ASK)
    asked.run("one = _")
    assert asked.run("one._shown.outputs").text == "()"
    asked.run("one.choose('b')")
    assert "copied-up  var/log/app.log" in asked.run("one._shown.outputs").text


def test_it_is_the_state_that_decides_and_not_the_stored_answer(asked: Kernel):
    """The cell is run twice: upper has a byte more than the lesson says."""
    asked.run(ASK)
    assert asked.run(ASK).text.endswith("What happened: 67,108,866 bytes")
    first, happened = said(asked, "c")
    assert first.startswith("None of the answers is what happened")
    assert "Run the lesson again from its beginning" in first
    assert happened == "What happened: 67,108,866 bytes"


def test_a_cell_that_fails_shows_its_output_and_its_error_and_asks_nothing(asked: Kernel):
    failed = asked.run("%%predict 03.append\nprint('so far')\n1 / 0\n")
    assert failed.stdout == "so far\n"
    assert failed.error == ("ZeroDivisionError", "division by zero")
    assert failed.shown == []
    assert "overlaylab" not in "\n".join(failed.traceback)


def test_a_cell_that_runs_before_those_above_says_so(kernel: Kernel):
    failed = kernel.run(ASK)
    assert "No overlay is called 'web'" in failed.stderr
    assert "run the cells above first" in failed.stderr
    failed = kernel.run("%%predict 03.append\n1")
    assert failed.error is not None
    assert failed.error[1] == (
        "This question is about web, which the cells above make: run the cells above first "
        "(Run → Run All Above)."
    )


def test_a_name_that_no_prediction_has_is_a_sentence(kernel: Kernel):
    failed = kernel.run("%%predict 03.nothing\n1")
    assert failed.error is not None
    assert failed.error[1].startswith("There is no prediction '03.nothing': there are 03.append, ")
    assert len(failed.traceback) == 1
    with pytest.raises(OverlaylabError, match="none in that lesson"):
        answers("99.append")


def test_what_a_stand_in_cannot_show_is_told_as_it_is_on_linux(kernel: Kernel):
    kernel.run("import os; os.environ['OVERLAYLAB_BACKEND'] = 'emulated'")
    ran = kernel.run("%%predict 03.clock\n'old'")
    assert ran.text.splitlines()[-1] == (
        "This machine cannot show it: it needs a real mount. On Linux: new"
    )
    wrong, happened, right = said(kernel, "a")
    assert wrong.startswith("✗ ")
    assert happened.endswith("On Linux: new")
    assert right == answers("03.clock").says[1]
    failing = kernel.run("%%predict 03.clock\n1 / 0")
    assert failing.error is None
    assert failing.text.endswith("On Linux: new")


# All of them


@pytest.mark.parametrize("name", EVERY)
def test_a_prediction_is_complete(name: str):
    """An idea is behind every answer; what happened is found out, by a function."""
    asked = answers(name)
    assert 2 <= len(asked.words) <= 4
    assert len(set(asked.words)) == len(asked.words)
    assert all(len(word) > 1 or word.isdigit() for word in asked.words), "a letter is an answer's"
    for number, sentence in enumerate(asked.says):
        assert sentence.endswith("."), sentence
        assert "!" not in sentence
        least, most = (5, 30) if number == asked.right else (10, 50)
        assert least <= len(sentence.split()) <= most, sentence
    number, _, slug = name.partition(".")
    assert callable(lesson(number).OUTCOMES[slug])


def test_every_prediction_is_asked_once_and_explained(capsys: pytest.CaptureFixture[str]):
    """Predictions, questions in the notebooks, verdicts in their outputs, and reasons."""
    asked, verdicts = [], 0
    for path in LESSONS:
        folded = handout(path.read_bytes()).decode()
        for cell in json.loads(path.read_text())["cells"]:
            source = "".join(cell["source"])
            if source.startswith("%%predict "):
                asked.append(source.split()[1])
                words = "".join(cell["outputs"][-1]["data"]["text/plain"])
                given = answers(asked[-1])
                needed = needs_of(cell["metadata"].get("tags", ()))
                assert set(given.needs.split()) == needed, f"{asked[-1]}: tag and needs differ"
                verdicts += words.endswith(f"What happened: {given.words[given.right]}")
                assert f'class=\\"answer-{asked[-1].replace(".", "-")}\\"' in folded, asked[-1]
    assert sorted(asked) == sorted(EVERY)
    reasons = sum(len(answers(name).says) == len(answers(name).words) for name in EVERY)
    with capsys.disabled():
        print(f"\npredictions {len(asked)}, verdicts {verdicts}, with all reasons {reasons}")
    assert len(asked) == verdicts == reasons


# What a learner gets


def test_a_learners_copy_has_no_output_and_folds_what_answers_a_question():
    cells = [
        {"cell_type": "code", "metadata": {}, "source": ["%%predict 03.append\n", "1"],
         "execution_count": 1, "outputs": [{"output_type": "stream"}]},
        {"cell_type": "markdown", "metadata": {"tags": ["answer"]}, "source": ["All of *it*."]},
        {"cell_type": "markdown", "metadata": {}, "source": ["Next."]},
    ]  # fmt: skip
    made = json.loads(handout(json.dumps({"cells": cells}).encode()))["cells"]
    assert made[0]["outputs"] == []
    assert made[0]["execution_count"] is None
    assert "".join(made[1]["source"]) == (
        '<details class="answer-03-append"><summary>What happened, and why</summary>\n\n'
        "All of *it*.\n\n</details>"
    )
    assert made[2] == cells[2]
