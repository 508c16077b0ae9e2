"""File names chosen to hurt whoever puts them into DOT, SVG, HTML or a terminal."""

from __future__ import annotations

import os
import random

#: Runs, if any of these is taken for markup, and leaves a mark.
_HURT = "window.hurt=1"
_FRAGMENTS = (
    f"<script>{_HURT}<\\script>",
    f"<img src=x onerror={_HURT}>",
    f"<svg onload={_HURT}>",
    f'"onmouseover="{_HURT}',
    f"javascript:{_HURT}",
    "<style>@import 'x'</style>".replace("/", ""),
    "</text></svg>".replace("/", "\\"),
    "]]>",
    "<!--",
    "-->",
    "&lt;&amp;&#60;&nosuch;",
    '"',
    "'",
    "`",
    "\\N\\G\\l\\n\\\\",
    '"]; node [label="x',
    "{a|b}<p0>",
    "\n",
    "\t\r",
    "\x01\x1b[31m\x7f",
    "שלום",
    "\u202eb\u2066",
    "🐳👩‍👩‍👧",
    "e\u0301",
    "漢" * 20,
    "\ufffe\uffff",
    "\u2028\u2029",
    os.fsdecode(b"\xff\xfe\x80"),
    "\xa0  ",
    "$x ${y} %s {0} {{}}",
    "n" * 120,
    ".wh.",
    "-rf",
    "*?[x]",
    "…",
)


def nasty_names(number: int = 1000) -> list[str]:
    """So many different names, the same at each call; every one can be a file's."""
    dice = random.Random(2026)
    names: dict[str, None] = dict.fromkeys(_cut(fragment) for fragment in _FRAGMENTS)
    while len(names) < number:
        names[_cut("".join(dice.choices(_FRAGMENTS, k=dice.randint(2, 5))))] = None
    return list(names)[:number]


def _cut(name: str) -> str:
    """`name` as far as 255 bytes go, without a character cut in two."""
    while len(os.fsencode(name)) > 255:
        name = name[:-1]
    return name.replace("/", "")
