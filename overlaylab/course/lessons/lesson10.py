"""Predictions and exercises of lesson 10, build your own overlayfs: a piece of it each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ...layer import Layer
from ...overlay import Overlay
from ..own.filesystem import PIECES, is_opaque, is_whiteout
from ..own.judge import OwnTask
from ..practice.contents import Outcome

_DELETED = ("old.txt",)
_MERGING = ("etc/app.conf", "etc/motd")

_Find = Callable[[list[Path], str], list[Path]]


def _found_wrongly(web: Overlay, app: Layer, base: Layer, find: _Find) -> str:
    """Of which paths does the learner's look-up say something else than the mount?"""
    layers = [web.upper, app.path, base.path]

    def wrong(*paths: str) -> bool:
        return any(bool(find(layers, path)) != (web.merged / path).exists() for path in paths)

    if wrong("data"):
        return "files"
    letters = {(False, False): "a", (True, False): "b", (False, True): "c", (True, True): "d"}
    return letters[wrong(*_DELETED), wrong(*_MERGING)]


def _copied_for_a_mode(web: Overlay, base: Layer) -> str:
    copy = web.upper / "data"
    if not copy.exists():
        return "a"
    return "b" if copy.read_bytes() == (base.path / "data").read_bytes() else "c"


def _kept_of_the_deleted(web: Overlay) -> str:
    """Which of the two deleted files has left something in upper?"""
    draft, conf = web.upper / "draft.txt", web.upper / "etc/app.conf"
    if any(os.path.lexists(place) and not is_whiteout(place) for place in (draft, conf)):
        return "the file itself"
    letters = {(False, False): "a", (True, True): "b", (False, True): "c"}
    return letters.get((is_whiteout(draft), is_whiteout(conf)), "a whiteout of draft.txt")


def _made_again(shop: Overlay) -> str:
    place = shop.upper / "etc"
    if is_opaque(place):
        return "a"
    if not place.is_dir():
        return "no directory"
    return "c" if any(map(is_whiteout, place.iterdir())) else "b"


OUTCOMES: Mapping[str, Outcome] = {
    "first": _found_wrongly,
    "mode": _copied_for_a_mode,
    "kept": _kept_of_the_deleted,
    "again": _made_again,
}

TASKS = [OwnTask(piece) for piece in PIECES]
