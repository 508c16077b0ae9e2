"""Exercises: a stack to work on, and a judge that looks at the state of the real filesystem.

What a learner typed does not matter, only what is in merged and upper afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...draw.picture import Diagram
from ...errors import OverlaylabError
from ...lab import Lab
from ...layer import Content
from ...overlay import Overlay
from .contents import lesson, lessons
from .verdict import Solution, Verdict, passed

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
        python: the solution is Python instead, in which ``ex`` is the exercise.
        delete: paths that a last layer named "cleanup" deletes; it is the topmost one, if the
            order is not changed.
        order: the order of layers that solves it, for an exercise that is about the order.
    """

    layers: Mapping[str, Content]
    mistakes: Sequence[Mistake]
    solution: str = ""
    python: bool = False
    delete: Sequence[str] = ()
    order: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        """The layers, in the order in which they are given."""
        return ["cleanup", *self.layers] if self.delete else list(self.layers)

    def begin(self, name: str) -> Exercise:
        """The exercise of that name, begun."""
        return Exercise(name, self)


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
        self.overlay = self._begin(task.names)

    def _begin(self, order: Sequence[str]) -> Overlay:
        lab = Lab(f"exercise-{self.name}")
        for layer, content in self.task.layers.items():
            lab.layer(layer, content)
        if self.task.delete:
            with lab.temporary("build", lower=list(self.task.layers)) as build:
                for path in self.task.delete:
                    (build.merged / path).unlink()
                build.commit("cleanup")
        number = int(self.name.partition(".")[2])
        return lab.mount(f"ex{number}", lower=order)

    @property
    def lab(self) -> Lab:
        """Where its layers are, and where more can be made and mounted."""
        if self.overlay.lab is None:
            raise OverlaylabError(f"Exercise {self.name} has no lab: run exercise(…) again.")
        return self.overlay.lab

    def mount(self, *layers: str) -> Diagram:
        """Begin again, with the layers in this order.

        Args:
            layers: names of the exercise's layers, the top one first.

        Raises:
            OverlaylabError: a name is wrong, missing or double.
        """
        if sorted(layers) != sorted(self.task.names):
            names = ", ".join(sorted(self.task.names))
            raise OverlaylabError(f"The order needs each layer once: it has {names}.")
        self.close()
        self.overlay = self._begin(layers)
        return self.diagram()

    def close(self) -> None:
        """Take its overlay away."""
        self.lab.close()

    def diagram(self) -> Diagram:
        """The state now."""
        return self.overlay.diagram()

    def check(self) -> Verdict:
        """Look at merged and upper, and say whether the exercise is solved."""
        for applies, hint in self.task.mistakes:
            if applies(self.overlay):
                return Verdict(False, hint)
        return passed(self.name)

    def solution(self) -> Solution:
        """One way to do it, as text."""
        if self.task.order:
            return Solution(f"mount({', '.join(map(repr, self.task.order))})")
        return Solution(self.task.solution)


class InProgress(Protocol):
    """An exercise that somebody works on."""

    def close(self) -> None:
        """Take away what it needs."""


class AnyTask(Protocol):
    """What an exercise consists of, whatever it is about."""

    def begin(self, name: str) -> InProgress:
        """The exercise of that name, begun."""


_current: dict[str, InProgress] = {}


def exercise(name: str) -> Any:
    """Begin an exercise, or begin it again.

    Args:
        name: lesson and number, ``"03.1"``.

    Returns:
        An :class:`Exercise`; an :class:`.ImageExercise` where an image is to be made, an
        :class:`.OwnExercise` where a piece of a filesystem is.

    Raises:
        OverlaylabError: there is no such exercise.
    """
    number = name.partition(".")[0] if isinstance(name, str) else ""
    task = tasks_of(number).get(name) if number in lessons() else None
    if task is None:
        known = ", ".join(all_tasks())
        raise OverlaylabError(f"There is no exercise {name!r}: there are {known}.")
    before = _current.pop(name, None)
    if before is not None:
        before.close()
    _current[name] = task.begin(name)
    return _current[name]


def tasks_of(number: str) -> dict[str, AnyTask]:
    """The exercises of one lesson by name, in order. No other lesson is imported."""
    return {f"{number}.{place}": task for place, task in enumerate(lesson(number).TASKS, start=1)}


def all_tasks() -> dict[str, AnyTask]:
    """Every exercise of the course by name, in order."""
    return {name: task for number in lessons() for name, task in tasks_of(number).items()}
