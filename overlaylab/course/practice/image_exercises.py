"""Exercises about an image: make it smaller, without losing what it is for.

The judge is the image's own report, and the files that a container would see.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...image import Image
from ...image.build import Build, base_image, build
from ...image.report import LayerReport, Report
from ...lab import Lab
from ...layer import Content
from ...text import printable, size_text
from .verdict import Solution, Verdict, passed


@dataclass(frozen=True)
class ImageTask:
    """What an exercise consists of.

    Attributes:
        make: builds the image that is too big.
        limit: how many bytes the new one may store, given the old one.
        keep: files that have to be there, with the same content and mode.
        solution: one way to do it: a Python expression in which ``ex`` is the exercise, or a
            Dockerfile if there is one.
        same_base: the lowest layer has to stay, so that it is shared with other images.
        same_config: what to run has to stay.
        dockerfile: what the image is built from, instead of `make`.
        context: the files for it.
        explain: what each layer stores has to be explained, too.
        also: builds the Dockerfile of the image again, with other files say, and gives a hint
            on what came of it; ``""`` if all is well.
    """

    limit: Callable[[Image], int]
    keep: Sequence[str]
    solution: str
    make: Callable[[Lab], Image] | None = None
    same_base: bool = False
    same_config: bool = False
    dockerfile: str = ""
    context: Content | None = None
    explain: bool = False
    also: Callable[[str], str] | None = None

    def begin(self, name: str) -> ImageExercise:
        """The exercise of that name, begun."""
        return ImageExercise(name, self)


class ImageExercise:
    """An exercise in progress, with a lab of its own.

    Attributes:
        name (str): lesson and number, ``"07.1"``.
        task (ImageTask): what it consists of.
        lab (Lab): where to make the new image.
        image (Image): the one that is too big.
        limit (int): the bytes that the new one may store.
    """

    def __init__(self, name: str, task: ImageTask) -> None:
        self.name = name
        self.task = task
        self.lab = Lab(f"exercise-{name}")
        self._base = base_image(self.lab) if task.dockerfile else None
        self._built: list[tuple[Image, str]] = []
        self.image = task.make(self.lab) if task.make else self.build(task.dockerfile).image
        self.limit = task.limit(self.image)
        self._wanted = _files(self.image, task.keep)
        self._explained = not task.explain

    def build(self, dockerfile: str) -> Build:
        """Build a Dockerfile with the files of the exercise; its base is called ``base``.

        Raises:
            BadDockerfile: it is not understood, or one of its commands failed.
        """
        images = {} if self._base is None else {"base": self._base}
        made = build(self.lab, dockerfile, self.task.context, images=images)
        self._built.append((made.image, dockerfile))
        return made

    def report(self) -> Report:
        """Where the bytes of the given image are."""
        return self.image.report()

    def explain(self, sizes: Sequence[int]) -> Verdict:
        """Explain the size of the given image, layer by layer.

        Args:
            sizes: what each layer above the base stores, in bytes, the lowest first.
        """
        layers = self.report().layers[1:]
        if not isinstance(sizes, Sequence) or not all(isinstance(size, int) for size in sizes):
            return Verdict(False, "give a list of numbers of bytes, such as [1 << 20, 0].")
        if len(sizes) != len(layers):
            return Verdict(False, f"{len(layers)} layers lie above the base: give {len(layers)}.")
        for size, layer in zip(sizes, layers, strict=True):
            if size != layer.bytes:
                return Verdict(False, f"'{layer.instruction}' {_why_not(size, layer)}")
        self._explained = True
        return Verdict(True)

    def close(self) -> None:
        """Take its lab away."""
        self.lab.close()

    def check(self, image: Image | None = None) -> Verdict:
        """Look at an image, and say whether the exercise is solved.

        Args:
            image: yours; the given one if there is none yet.
        """
        image = self.image if image is None else image
        if not isinstance(image, Image):
            return Verdict(False, "that is no image: give the one that you made, check(image).")
        found = _files(image, self.task.keep)
        for path in self.task.keep:
            if found[path] is None:
                return Verdict(False, f"{path} is not there any more.")
            if found[path] != self._wanted[path]:
                return Verdict(False, f"{path} has another content or mode than before.")
        report = image.report()
        if report.total_bytes >= self.limit:
            # A base that was made on this machine is as large as its shell: leave it out.
            base_size = self.image.layers[0].size if self.task.dockerfile else 0
            return Verdict(False, _too_big(report, self.limit, base_size))
        base = self.image.layers[0].diff_id
        if self.task.same_base and image.layers[0].diff_id != base:
            return Verdict(False, "the lowest layer is another: no other image can share it.")
        if self.task.same_config and image.config != self.image.config:
            return Verdict(False, "it does not know any more what to run.")
        if not self._explained:
            return Verdict(False, "it is small enough; now explain the given one, explain([…]).")
        hint = self._also(image)
        return Verdict(False, hint) if hint else passed(self.name)

    def _also(self, image: Image) -> str:
        if self.task.also is None:
            return ""
        for made, dockerfile in self._built:
            if made is image:
                return self.task.also(dockerfile)
        return "it was not built from a Dockerfile: make it with build(…) of this exercise."

    def solution(self) -> Solution:
        """One way to do it, as text."""
        return Solution(self.task.solution)


def _why_not(size: int, layer: LayerReport) -> str:
    """Why a layer does not store `size` bytes."""
    words = f"does not store {size_text(size)}: "
    if layer.bytes == 0:
        return words + "it only deletes, and a deletion is a mark without bytes."
    if layer.changed_bytes:
        return words + "whoever changes a file, its mode or its time stores all of it again."
    return words + "add up the files that this line writes, and are still there at its end."


def _too_big(report: Report, limit: int, base: int) -> str:
    above = " above the base" if base else ""
    stored, most = size_text(report.total_bytes - base), size_text(limit - base)
    words = f"it stores {stored}{above}, and {most} is too much"
    if not report.reclaimable:
        return words + "."
    worst = report.reclaimable[0]
    return f"{words}: {printable(worst.path)} ({size_text(worst.size)}) is stored and not seen."


def _files(image: Image, paths: Sequence[str]) -> dict[str, object]:
    """Mode and digest of the files that a container would see; None for one that it would not."""
    with Lab("check", backend="emulated") as lab:
        merged = lab.mount("view", lower=image.unpack(lab) or [lab.layer("nothing")]).merged
        found: dict[str, object] = {}
        for path in paths:
            place = merged / path
            is_file = place.is_file() and not place.is_symlink()
            found[path] = (
                (stat.S_IMODE(place.stat().st_mode), hashlib.sha256(place.read_bytes()).digest())
                if is_file
                else None
            )
        return found
