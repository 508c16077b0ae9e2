"""Exercises of lesson 01, see many directories as one."""

from __future__ import annotations

from .exercises import Task
from .judge import missing, no_file, text, text_differs, untouched

TASKS = [
    Task(
        layers={
            "app": {"cache/app.tmp": "app\n"},
            "base": {"cache/base.tmp": "base\n", "etc/motd": "base\n"},
        },
        mistakes=[
            (untouched, "merged still shows the directory cache with both files in it."),
            (missing("cache"), "cache is gone: now write the file of that name."),
            (
                lambda overlay: (
                    text(overlay, "cache/none") is not None or (overlay.merged / "cache").is_dir()
                ),
                "cache is still a directory: a file can only take its name when it is gone.",
            ),
            (no_file("cache"), "cache is there, but it is not a regular file."),
            (text_differs("cache", "none"), "cache is a file, but it does not say just: none"),
        ],
        solution="rm -r cache\necho none > cache",
    ),
    Task(
        layers={
            "a": {"colour": "red\n", "shape": "square\n"},
            "b": {"shape": "round\n", "size": "small\n"},
            "c": {"colour": "blue\n", "size": "big\n"},
        },
        mistakes=[
            (
                lambda overlay: bool(overlay.changes()),
                "upper is not empty: solve it by the order of the layers alone.",
            ),
            (text_differs("shape", "round"), "shape is square: layer a is asked before layer b."),
            (text_differs("colour", "red"), "colour is blue: layer c is asked before layer a."),
            (text_differs("size", "small"), "size is big: layer c is asked before layer b."),
        ],
        order=("b", "a", "c"),
    ),
]
