"""Spoil every solution of the course in every small way, and see whether its check notices.

    python -m tests.course.mutate_solutions [EXERCISE …]

A step of the solution is dropped or altered. A check that says "done" all the same is a survivor,
and is printed; not each is a fault, for some changes make another right solution. A command and
no test: it takes some minutes.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import os
import sys
import tempfile
from collections.abc import Callable, Iterator

from overlaylab import Image
from overlaylab.course import OwnOverlay, exercise, own_solution
from overlaylab.course.own.filesystem import PIECES, Piece
from overlaylab.course.own.judge import OwnTask
from overlaylab.course.practice.exercises import all_tasks
from overlaylab.course.practice.image_exercises import ImageTask

from .test_own_overlay import IMPORTS, written

#: A spoilt solution in words, and what its check says: is it done?
Mutant = tuple[str, Callable[[], bool]]


def of_script(name: str, script: str) -> Iterator[Mutant]:
    """A statement is dropped, or one of its words is another."""
    steps = [step for line in script.splitlines() for step in line.split("; ") if step.strip()]
    for number, step in enumerate(steps):
        words = step.split()
        changed = [""]
        for place, word in enumerate(words):
            if word.isalpha() or "/" in word or "." in word:
                changed.append(" ".join([*words[:place], word + "x", *words[place + 1 :]]))
        for other in changed:
            text = "\n".join([*steps[:number], other, *steps[number + 1 :]])
            yield f"{step!r} → {other!r}", lambda text=text: _run(name, text)


def _run(name: str, script: str) -> bool:
    one = exercise(name)
    if one.task.python:
        with contextlib.suppress(Exception):
            exec(script, {"ex": one})
    else:
        one.overlay.sh(script)
    return bool(one.check().done)


def of_order(name: str, order: tuple[str, ...]) -> Iterator[Mutant]:
    """Two layers change places."""
    for first in range(len(order)):
        for second in range(first + 1, len(order)):
            other = list(order)
            other[first], other[second] = other[second], other[first]
            yield f"{other}", lambda other=other: _mount(name, other)


def _mount(name: str, order: list[str]) -> bool:
    one = exercise(name)
    one.mount(*order)
    return bool(one.check().done)


def of_image(name: str, task: ImageTask) -> Iterator[Mutant]:
    """A line of the Dockerfile, or a part of one, is dropped; another number of layers is kept."""
    if task.dockerfile:
        lines = [line for line in task.solution.splitlines() if line]
        for number, line in enumerate(lines):
            parts = line.split(" && ")
            shorter = [" && ".join(parts[:n] + parts[n + 1 :]) for n in range(1, len(parts))]
            shorter += [line.replace("--chmod=755 ", "")] if "--chmod" in line else []
            for other in ["", *shorter]:
                text = "\n".join([*lines[:number], other, *lines[number + 1 :]])
                yield f"{line!r} → {other!r}", lambda text=text: _image(name, text)
        return
    for other in ("ex.image", "ex.image.squash(ex.lab, keep=2)", "ex.image.flatten(ex.lab)"):
        if other != task.solution:
            yield other, lambda other=other: _image(name, other)


def _image(name: str, how: str) -> bool:
    one = exercise(name)
    if one.task.explain:
        one.explain([layer.bytes for layer in one.report().layers[1:]])
    with contextlib.suppress(Exception):  # a build that fails is noticed at once
        if one.task.dockerfile:
            return bool(one.check(one.build(how).image).done)
        return bool(one.check(eval(how, {"ex": one, "Image": Image})).done)
    return False


def of_piece(name: str, piece: Piece) -> Iterator[Mutant]:
    """A statement is dropped, or a condition turned around."""
    for function in piece.functions:
        tree = ast.parse(own_solution.text(Piece("", [function])))
        for number, node in enumerate(ast.walk(tree)):
            for what in ("drop", "negate"):
                spoilt = copy.deepcopy(tree)
                target = list(ast.walk(spoilt))[number]
                if _spoil(spoilt, target, what):
                    text = ast.unparse(spoilt)
                    words = f"{function}: {what} {ast.unparse(node).splitlines()[0]!r}"
                    yield words, lambda text=text, f=function: _piece(name, piece, f, text)


def _spoil(tree: ast.AST, target: ast.AST, what: str) -> bool:
    if what == "negate" and isinstance(target, ast.If):
        target.test = ast.UnaryOp(ast.Not(), target.test)
        ast.fix_missing_locations(tree)
        return True
    if what == "drop" and isinstance(target, ast.stmt) and not isinstance(target, ast.FunctionDef):
        if isinstance(target, ast.Expr) and isinstance(target.value, ast.Constant):
            return False  # the docstring
        for parent in ast.walk(tree):
            for field in ("body", "orelse"):
                body = getattr(parent, field, None)
                if isinstance(body, list) and target in body:
                    body[body.index(target)] = ast.Pass()
                    ast.fix_missing_locations(tree)
                    return True
    return False


def _piece(name: str, piece: Piece, function: str, text: str) -> bool:
    mine: OwnOverlay = written(piece)
    scope: dict[str, object] = {}
    exec(IMPORTS, scope)
    for one in PIECES[: 1 + PIECES.index(piece)]:
        for other in one.functions:
            scope[other] = mine.functions[other]
    exec(text, scope)
    for other in mine.functions:
        mine.functions[other].__globals__[function] = scope[function]
    mine.piece(scope[function])  # type: ignore[type-var]
    mine.done = {one.name for one in PIECES}
    return bool(exercise(name).check(mine).done)


def mutants(name: str) -> Iterator[Mutant]:
    """All spoilt solutions of an exercise."""
    task = all_tasks()[name]
    if isinstance(task, OwnTask):
        yield from of_piece(name, task.piece)
    elif isinstance(task, ImageTask):
        yield from of_image(name, task)
    elif task.order:
        yield from of_order(name, tuple(task.order))
    else:
        yield from of_script(name, task.solution)


def main() -> None:
    """Print the survivors, and how many were caught."""
    caught = every = 0
    for name in sys.argv[1:] or all_tasks():
        for words, done in mutants(name):
            every += 1
            if done():
                print(f"survived: {name} {words}", flush=True)
            else:
                caught += 1
    print(f"{caught} of {every} caught ({caught / max(every, 1):.1%})")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        os.environ["OVERLAYLAB_PROGRESS"] = f"{directory}/progress.json"
        main()
