"""Exercises: a stack to work on, and a judge that looks at the state of the real filesystem.

What a learner typed does not matter, only what is in merged and upper afterwards.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from ..draw import Diagram
from ..errors import OverlaylabError
from ..lab import Lab
from ..layer import Content
from ..overlay import Overlay

#: A mistake and the hint for it: does the state show the mistake?
Mistake = tuple[Callable[[Overlay], bool], str]


@dataclass(frozen=True)
class Task:
    """What an exercise consists of.

    Attributes:
        layers: name → content of each layer, the top one first.
        mistakes: usual mistakes with their hints, the first that applies is told. A state
            without any is a right one.
        solution: a shell script that solves it.
        delete: paths that a last, topmost layer named "cleanup" deletes.
        order: the order of layers that solves it, for an exercise that is about the order.
    """

    layers: Mapping[str, Content]
    mistakes: Sequence[Mistake]
    solution: str = ""
    delete: Sequence[str] = ()
    order: Sequence[str] = ()


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        done: is the exercise solved?
        hint: what to look at, if it is not.
    """

    done: bool
    hint: str = ""

    def __repr__(self) -> str:
        return "done" if self.done else f"not yet: {self.hint}"


class Exercise:
    """An exercise in progress, on an overlay of its own.

    Attributes:
        name (str): lesson and number, ``"03.1"``.
        overlay (Overlay): where to work; ``%%overlay ex1`` finds it.
        task (Task): what it consists of.
    """

    def __init__(self, name: str, task: Task) -> None:
        self.name = name
        self.task = task
        self.overlay = self._begin(list(task.layers))

    def _begin(self, order: Sequence[str]) -> Overlay:
        lab = Lab(f"exercise-{self.name}")
        for layer, content in self.task.layers.items():
            lab.layer(layer, content)
        lower = [lab.layers[layer] for layer in order]
        if self.task.delete:
            build = lab.mount("build", lower=lower)
            for path in self.task.delete:
                (build.merged / path).unlink()
            lower.insert(0, build.commit("cleanup"))
            build.unmount()
            del lab.mounts["build"]
        number = int(self.name.partition(".")[2])
        return lab.mount(f"ex{number}", lower=lower)

    def mount(self, *layers: str) -> Diagram:
        """Begin again, with the layers in this order.

        Args:
            layers: names of the exercise's layers, the top one first.

        Raises:
            OverlaylabError: a name is wrong, missing or double.
        """
        if sorted(layers) != sorted(self.task.layers):
            names = ", ".join(sorted(self.task.layers))
            raise OverlaylabError(f"The order needs each layer once: it has {names}.")
        old = self.overlay.lab
        self.overlay = self._begin(layers)
        if old is not None:
            old.close()
        return self.diagram()

    def diagram(self) -> Diagram:
        """The state now."""
        return self.overlay.diagram()

    def check(self) -> Verdict:
        """Look at merged and upper, and say whether the exercise is solved."""
        for applies, hint in self.task.mistakes:
            if applies(self.overlay):
                return Verdict(False, hint)
        return Verdict(True)

    def solution(self) -> str:
        """One way to do it, as text."""
        if self.task.order:
            return f"mount({', '.join(map(repr, self.task.order))})"
        return self.task.solution


_current: dict[str, Exercise] = {}


def exercise(name: str) -> Exercise:
    """Begin an exercise, or begin it again.

    Args:
        name: lesson and number, ``"03.1"``.

    Raises:
        OverlaylabError: there is no such exercise.
    """
    tasks = all_tasks()
    if name not in tasks:
        raise OverlaylabError(f"There is no exercise {name!r}: there are {', '.join(tasks)}.")
    before = _current.pop(name, None)
    if before is not None and before.overlay.lab is not None:
        before.overlay.lab.close()
    _current[name] = Exercise(name, tasks[name])
    return _current[name]


def all_tasks() -> dict[str, Task]:
    """Every exercise of the course by name, in order."""
    tasks: dict[str, Task] = {}
    for lesson in itertools.count():
        try:
            module = import_module(f".lesson{lesson:02d}", __package__)
        except ModuleNotFoundError:
            return tasks
        for number, task in enumerate(module.TASKS, start=1):
            tasks[f"{lesson:02d}.{number}"] = task
    return tasks
