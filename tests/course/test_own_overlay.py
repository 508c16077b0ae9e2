"""The judge of lesson 10: the solution is like the kernel, and each usual mistake is told.

``OWN_OVERLAY_SEQUENCES`` is the number of random sequences that the solution has to survive.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from overlaylab.course import OwnOverlay, exercise, own_solution
from overlaylab.course.own.cases import Case, Item, random_case, smallest
from overlaylab.course.own.filesystem import PIECES, Directories, Operation, Piece, Vfs
from overlaylab.course.own.judge import Judge
from overlaylab.course.own.report import Difference
from overlaylab.errors import OverlaylabError

from ..helpers import LESSONS
from .test_notebooks import cells

SEQUENCES = int(os.environ.get("OWN_OVERLAY_SEQUENCES", "200"))
TASKS = {f"10.{number}": piece for number, piece in enumerate(PIECES, start=1)}

IMPORTS = """
import errno, os, shutil
from pathlib import Path
from overlaylab.course.own import is_opaque, is_whiteout, make_opaque, make_whiteout, remove
"""
SKIPS_FILES = """:
            break
        if seen and place.is_file():
            continue"""
FORGETS_COPIES = """    if os.path.exists(fs.upper / path):
        remove(fs.upper / path)
    elif"""
PARENT = "copy_up(fs, os.path.dirname(path))"

#: Exercise → wrong ways to write one function of it, as a change of the solution (a text in it, and
#: what is there instead), and words of the verdict.
WRONG: dict[str, list[tuple[str, str, str, str]]] = {
    "10.1": [
        ("look", "is_whiteout(place) or ", "", "The whiteout in"),
        ("look", "if is_whiteout(place)", "if False", "The whiteout in"),
        ("look", "in directories", "in reversed(directories)", "comes from"),
        ("look", " or is_opaque(place)", "", "is no plain directory (opaque"),
        ("look", "place.is_file() or is_opaque", "is_opaque", "comes from"),
        ("look", "(seen and place.is_file())", "False", "comes from"),
        ("look", "or (seen and place.is_file()):\n            break", SKIPS_FILES, "no plain"),
        ("look", "        if place.exists():\n            seen.append(place)\n", "", "nothing"),
        ("look", "return seen", "return seen[:1]", "nothing"),
        ("look", "return seen", "pass", "find returned None, and not a list"),
        ("find", "return seen", "return seen[0]", "find returned PosixPath('upper/a')"),
        ("find", "seen = layers", "seen = layers[1:]", "upper"),
    ],
    "10.2": [
        ("names", "if look(directories, name)", "", "names in"),
        (
            "names",
            "for directory in directories for",
            "for directory in directories[:1] for",
            "names in",
        ),
        ("names", "find(layers, path)", "[layer / path for layer in layers]", "FileNotFoundError"),
        ("names", "return {", "return 1 or {", "names returned 1"),
    ],
    "10.3": [
        ("copy_up", "shutil.copy2(original, place)", "place.touch()", "file ''"),
        ("copy_up", "            shutil.copymode(original, place)\n", "", "mode 755"),
        ("copy_up", "shutil.copymode(", "shutil.copystat(", "needs no opaque mark"),
        ("copy_up", "shutil.copy2", "shutil.copyfile", "mode 644"),
        ("copy_up", PARENT, "place.parent.mkdir(parents=True, exist_ok=True)", "mode 755"),
        ("copy_up", PARENT, "pass", "FileNotFoundError"),
        ("open_to_write", "copy_up(fs, path)", "find(fs.layers, path)[0]", "has to be copied up"),
        ("open_to_write", "copy_up(fs, path)", "fs.upper / path", "FileNotFoundError"),
        ("open_to_write", "path), how", "path), 'wb'", "file '+'"),
        ("open_to_write", "return open", "open", "open_to_write returned None"),
        ("chmod", "copy_up(fs, path)", "find(fs.layers, path)[0]", "nothing is ever"),
    ],
    "10.4": [
        ("unlink", "make_whiteout(fs.upper / path)", "pass", "without a whiteout"),
        ("unlink", "    remove(fs.upper / path)\n", "", "FileExistsError"),
        ("unlink", "    remove(fs.upper / path)\n    if", FORGETS_COPIES, "without a whiteout"),
        ("unlink", PARENT, "pass", "FileNotFoundError"),
        ("unlink", PARENT, "find(fs.lowers, path)[0].unlink()", "nothing is ever written"),
    ],
    "10.5": [
        ("unlink", "if find(fs.lowers, path)", "if True", "a needless whiteout"),
        ("create", "    remove(fs.upper / path)\n", "", "whiteout"),
        ("create", "(fs.upper / path).touch()", "pass", "nothing"),
        ("create", PARENT, "pass", "FileNotFoundError"),
        ("create", "(fs.upper / path).touch()", "(fs.lowers[0] / path).touch()", "lower layer is"),
    ],
    "10.6": [
        ("mkdir", "make_opaque(place)", "pass", "without an opaque mark"),
        ("mkdir", "    remove(place)\n", "", "FileExistsError"),
        ("mkdir", PARENT, "pass", "FileNotFoundError"),
        ("rmdir", "if names(fs.layers, path)", "if False", "ENOTEMPTY"),
        ("rmdir", "names(fs.layers, path)", "os.listdir(find(fs.layers, path)[0])", "ENOTEMPTY"),
        ("rmdir", "unlink(fs, path)", "shutil.rmtree(fs.upper / path)", "FileNotFoundError"),
    ],
    "10.7": [
        ("rename", "make_whiteout(source)", "pass", "without a whiteout"),
        ("rename", "find(fs.lowers, old)", "True", "a needless whiteout"),
        ("rename", "    copy_up(fs, os.path.dirname(new))\n", "", "FileNotFoundError"),
        ("rename", "copy_up(fs, old)", "find(fs.layers, old)[0]", "lower layer is"),
        ("rename", "source.rename(", "shutil.copy(source, ", "FileExistsError"),
    ],
}


def written(
    upto: Piece = PIECES[-1], change: Callable[[str, str], str] = lambda name, text: text
) -> OwnOverlay:
    """What a learner has who wrote all pieces up to one as the solution does, but for a change."""
    mine = OwnOverlay()
    space: dict[str, Any] = {}
    exec(IMPORTS, space)
    for piece in PIECES[: 1 + PIECES.index(upto)]:
        for name in piece.functions:
            one = Piece(piece.name, [name])
            exec(change(name, own_solution.text(one)), space)
            mine.piece(space[name])
    mine.done = {piece.name for piece in PIECES}
    return mine


@pytest.fixture(params=["kernel", "emulated"])
def judged_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OVERLAYLAB_BACKEND", request.param)
    return str(request.param)


@pytest.mark.parametrize("name", TASKS)
def test_the_solution_passes(name: str, judged_by: str) -> None:
    mine = written()
    mine.done -= {TASKS[name].name}
    assert exercise(name).check(mine, cases=40).done
    assert TASKS[name].name in mine.done


@pytest.mark.parametrize("name", TASKS)
def test_the_untouched_stub_says_not_yet(name: str) -> None:
    last = TASKS[name].functions[-1]
    assert "still to be written" in repr(exercise(name).check(OwnOverlay()))

    def stub(function: str, text: str) -> str:
        head = text.partition("\n")[0]
        return f"{head}\n    raise NotImplementedError" if function == last else text

    verdict = exercise(name).check(written(change=stub))
    assert repr(verdict) == f"not yet: {last} is still to be written."


def test_one_piece_comes_after_the_other() -> None:
    mine = written()
    mine.done = {"look-up"}
    verdict = exercise("10.3").check(mine)
    assert repr(verdict) == "not yet: list comes first: this piece builds on it."


@pytest.mark.parametrize("name", TASKS)
def test_a_function_without_content_is_not_done(name: str) -> None:
    for last in TASKS[name].functions:

        def nothing(function: str, text: str, last: str = last) -> str:
            head = text.partition("\n")[0]
            return f"{head}\n    pass" if function == last else text

        verdict = exercise(name).check(written(change=nothing))
        assert repr(verdict).startswith("not yet: yours and the kernel differ"), last


@pytest.mark.parametrize(
    ("name", "function", "old", "new", "words"),
    [(name, *wrong) for name, every in WRONG.items() for wrong in every],
)
def test_a_wrong_way_is_told(
    name: str, function: str, old: str, new: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And in the same words on each backend."""

    def change(one: str, text: str) -> str:
        assert one != function or old in text
        return text.replace(old, new) if one == function else text

    mine = written(TASKS[name], change)
    verdict = exercise(name).check(mine)
    assert isinstance(verdict, Difference)
    assert words in verdict.words
    monkeypatch.setenv("OVERLAYLAB_BACKEND", "emulated")
    with Judge(mine, PIECES[: 1 + PIECES.index(TASKS[name])]) as judge:
        assert repr(judge.difference(verdict.case)) == repr(verdict)


def test_every_piece_is_tried_with_three_wrong_ways_or_more() -> None:
    assert set(WRONG) == set(TASKS)
    assert all(len(wrong) >= 3 for wrong in WRONG.values())


def test_the_solution_survives_random_sequences(judged_by: str) -> None:
    """Others than those of the checks, compared after each operation."""
    wanted = SEQUENCES if judged_by == "kernel" else SEQUENCES // 4
    for start in range(0, wanted, 500):
        with Judge(written(), PIECES) as judge:
            for number in range(start, min(start + 500, wanted)):
                pieces = PIECES[: 3 + number % 5]
                assert judge.difference(random_case(pieces, 1_000_000 + number)) is None


def test_the_cases_are_the_same_ones_on_each_run() -> None:
    assert random_case(PIECES, 7) == random_case(PIECES, 7)
    assert random_case(PIECES, 7) != random_case(PIECES, 8)


def test_the_cases_meet_all_that_there_is() -> None:
    every = [random_case(PIECES, number) for number in range(200)]
    used = {operation.name for case in every for operation in case.operations}
    assert used == {name for piece in PIECES for name in piece.operations}
    kinds = {entry.kind for case in every for one in case.lowers.values() for entry in one.values()}
    assert kinds == {"file", "directory", "opaque", "whiteout"}
    assert {len(case.lowers) for case in every} == {1, 2, 3}


FORGOTTEN = """\
not yet: yours and the kernel differ after
  rmdir  a
  mkdir  a
          the kernel  yours
upper: a  opaque      nothing
A lower layer has a too: without an opaque mark the two merge.

                 a/
the kernel       dir
yours            dir
kernel's upper   dir  ⊘
your upper       dir
base             (dir)
( ) hidden   ⊘ opaque"""


def test_the_difference_is_told_and_drawn(
    judged_by: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = written(change=lambda _, text: text.replace("make_opaque(place)", "pass"))
    lowers = {"base": {"a": Item("directory", 0o755), "b": Item("file", 0o644)}}
    operations = [Operation("mkdir", "a"), Operation("rmdir", "a"), Operation("mkdir", "a")]
    with Judge(mine, PIECES) as judge:
        case = Case(lowers, operations=[*operations, Operation("unlink", "b")])
        small = smallest(case, lambda one: judge.difference(one) is not None)
        found = judge.difference(small)
    assert found is not None
    assert repr(found) == FORGOTTEN
    shown: list[object] = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    found._ipython_display_()
    assert FORGOTTEN.startswith(capsys.readouterr().out)
    assert shown == [found.diagram]
    assert found.diagram is not None
    assert found.diagram.source.count('class="band merged"') == 2
    assert found.diagram.source.count('class="band upper"') == 2


def test_a_lower_is_told_that_was_written_to() -> None:
    """Although both show the same."""
    case = Case({"base": {"a": Item("file", 0o644)}}, operations=[Operation("chmod", "a", 0o600)])

    def change(name: str, text: str) -> str:
        more = "    find(fs.lowers, path)[0].chmod(0o640)"
        return f"{text}\n{more}" if name == "chmod" else text

    with Judge(written(TASKS["10.3"], change), PIECES[:3]) as judge:
        found = judge.difference(case)
    assert found is not None
    assert ("base: a", "file, mode 644", "file, mode 640") in found.rows


def test_a_relative_path_of_a_mistaken_function_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exercise("10.6").check(
        written(TASKS["10.6"], lambda _, text: text.replace("place.mkdir()", "os.makedirs(path)"))
    )
    assert list(tmp_path.iterdir()) == []
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize(
    "loop",
    [
        "while True: pass",
        "while True:\n        try: sum(range(100))\n        except Exception: pass",
        "__import__('time').sleep(1000)",
    ],
)
def test_a_loop_without_an_end_is_stopped_and_named(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overlaylab.course.own.judge._SECONDS", 0.3)
    before = signal.getsignal(signal.SIGALRM)
    mine = written(
        TASKS["10.3"],
        lambda name, text: f"def chmod(fs, path, mode):\n    {loop}" if name == "chmod" else text,
    )
    verdict = exercise("10.3").check(mine)
    assert re.fullmatch(
        r"not yet: your code did not end within 0\.3 s \(it was in chmod, line \d\): "
        r"is there a loop that nothing ends\?",
        repr(verdict),
    )
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_function_of_an_unknown_name_is_refused() -> None:
    with pytest.raises(OverlaylabError, match=r"'seek'.*find, look, names"):

        @OwnOverlay().piece
        def seek() -> None: ...


def test_a_function_that_is_written_anew_has_to_be_checked_again() -> None:
    mine = written()
    mine.piece(own_solution.unlink)
    assert mine.done == {"look-up", "list", "copy-up"}
    assert repr(mine).splitlines()[3].split() == ["delete", "unlink", "–"]


def test_without_a_filesystem_there_is_nothing_to_check() -> None:
    assert repr(exercise("10.1").check()) == "not yet: give it your filesystem, check(mine)."


def test_the_vfs_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    """And does not call the filesystem for it: there are no functions but for look-ups."""
    (tmp_path / "upper/directory").mkdir(parents=True)
    (tmp_path / "upper/file").touch()
    functions = {"find": own_solution.find}
    vfs = Vfs(functions, Directories(tmp_path / "upper", []))
    for operation, error in {
        Operation("unlink", "none"): FileNotFoundError,
        Operation("unlink", "directory"): IsADirectoryError,
        Operation("unlink", "file/none"): NotADirectoryError,
        Operation("rmdir", "file"): NotADirectoryError,
        Operation("mkdir", "file"): FileExistsError,
        Operation("create", "none/new"): FileNotFoundError,
        Operation("append", "directory", "x"): IsADirectoryError,
        Operation("rename", "file", "directory"): IsADirectoryError,
        Operation("rename", "file", "file/new"): NotADirectoryError,
    }.items():
        with pytest.raises(error):
            vfs.do(operation)


def test_the_stubs_of_the_notebook_are_the_heads_of_the_solution() -> None:
    path = next(path for path in LESSONS if path.name.startswith("10"))
    source = "\n\n".join(cell.source for cell in cells(path))
    heads = re.findall(r"@mine\.piece\n(def .*?\n    \"\"\".*?\"\"\")", source, re.DOTALL)
    text = "\n\n".join(map(own_solution.text, PIECES))
    assert [head for head in heads if head not in text] == []
    names = re.findall(r"^def (\w+)", text, re.MULTILINE)
    assert sorted(re.match(r"def (\w+)", head)[1] for head in heads) == sorted(names)  # type: ignore
