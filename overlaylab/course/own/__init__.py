"""Lesson 10: a filesystem of the learner's own, judged by the kernel's."""

from .filesystem import (
    PIECES,
    Directories,
    Operation,
    OwnOverlay,
    Piece,
    Vfs,
    is_opaque,
    is_whiteout,
    make_opaque,
    make_whiteout,
    remove,
)

__all__ = [
    "PIECES",
    "Directories",
    "Operation",
    "OwnOverlay",
    "Piece",
    "Vfs",
    "is_opaque",
    "is_whiteout",
    "make_opaque",
    "make_whiteout",
    "remove",
]
