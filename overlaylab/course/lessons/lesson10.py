"""Exercises of lesson 10, build your own overlayfs: a piece of it each."""

from __future__ import annotations

from ..own.filesystem import PIECES
from ..own.judge import OwnTask
from ..practice.quiz import Question

TASKS = [OwnTask(piece) for piece in PIECES]

QUIZ = [
    Question(
        "Your rename moves the copy to its new name, then makes the whiteout. The power fails "
        "between the two. What does the next mount show?",
        [
            ("no file at all", "The copy in upper has its new name already."),
            (
                "the file under its old name only",
                "Upper has the copy under its new name, and upper is asked first.",
            ),
            ("the file under both names", ""),
        ],
    ),
    Question(
        "A directory is deleted and made again. Your mkdir forgets the opaque mark. What does a "
        "process see?",
        [
            (
                "an empty directory",
                "The new directory in upper merges with the one below, which still has its files.",
            ),
            ("the new directory with the old files in it", ""),
            ("no directory", "The whiteout had to go: the new directory has its place."),
        ],
    ),
    Question(
        "Two containers share their lower layers. One of them runs a filesystem whose chmod goes "
        "to the file that look-up finds. What happens to the other?",
        [
            ("it sees the new mode too, if the file is in a lower layer", ""),
            ("nothing, each has an upper of its own", "This chmod never got as far as upper."),
            (
                "it gets a copy of the file in its upper",
                "A copy-up happens where something is written, in the container that writes.",
            ),
        ],
    ),
]
