"""Exercises of lesson 00, start here."""

from __future__ import annotations

from .exercises import Task
from .judge import changed_besides, missing, no_file, text_differs, untouched

TASKS = [
    Task(
        layers={"base": {"etc/motd": "base\n"}},
        mistakes=[
            (untouched, "upper is still empty: write your commands in the %%overlay cell."),
            (missing("greeting.txt"), "there is no greeting.txt in the top directory of merged."),
            (no_file("greeting.txt"), "greeting.txt is not a file: write text to it with echo."),
            (
                text_differs("greeting.txt", "hello"),
                "greeting.txt is there, but it does not say just: hello",
            ),
        ],
        solution="echo hello > greeting.txt",
    ),
    Task(
        layers={"base": {"etc/motd": "base\n", "etc/issue": "issue\n"}},
        mistakes=[
            (untouched, "upper is still empty: write your commands in the %%overlay cell."),
            (no_file("etc/motd"), "etc/motd is gone: change it, do not delete it."),
            (
                changed_besides("etc/motd"),
                "upper holds more than etc/motd: run the cell with exercise(…) to begin again.",
            ),
            (text_differs("etc/motd", "changed"), "etc/motd does not say just: changed"),
        ],
        solution="echo changed > etc/motd",
    ),
]
