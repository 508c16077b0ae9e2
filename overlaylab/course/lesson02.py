"""Exercises of lesson 02, find out which layer answers."""

from __future__ import annotations

from .exercises import Task
from .judge import changed_besides, missing, no_file, text_differs, untouched

TASKS = [
    Task(
        layers={
            "config": {"etc/app.d/": None},
            "app": {"etc/app.conf": "port 80\n"},
            "runtime": {"etc/app.conf": "port 80\n", "usr/lib/runtime": "1\n"},
            "base": {"etc/app.conf": "port 8080\n"},
        },
        mistakes=[
            (untouched, "there is no answer.txt yet."),
            (
                changed_besides("answer.txt"),
                "upper holds more than answer.txt: run the cell with exercise(…) to begin again.",
            ),
            (no_file("answer.txt"), "answer.txt is not a file: write the name with echo."),
            (
                text_differs("answer.txt", "app"),
                "answer.txt names a layer that is not the one: ask %overlay lookup ex1 "
                "etc/app.conf, and take the one that answers.",
            ),
        ],
        solution="echo app > answer.txt",
    ),
    Task(
        layers={"base": {"etc/issue": "welcome\n", "etc/motd": "base\n"}},
        delete=["etc/issue"],
        mistakes=[
            (untouched, "etc/issue is still hidden by the whiteout in layer cleanup."),
            (
                missing("etc/issue"),
                "upper has changed, but etc/issue is not back: an entry in upper under that "
                "very name wins over the whiteout.",
            ),
            (no_file("etc/issue"), "etc/issue is there, but it is not a regular file."),
            (text_differs("etc/issue", "welcome"), "etc/issue does not say what base says."),
        ],
        solution="echo welcome > etc/issue",
    ),
]
