"""Limits for an image in CI: ``reclaimable=100MB,efficiency=0.9``, and which of them it breaks."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from ..errors import BadLimit
from ..text import SizeUnits, human_text
from .report import Report

#: The file that is read where it is there, and the table in it.
CONFIG = ".overlaylab.toml"
_TABLE = "fail-over"

_FACTORS = {
    "": 1,
    **{letter: 1000**n for n, letter in enumerate("kmgt", 1)},
    **{f"{letter}i": 1024**n for n, letter in enumerate("kmgt", 1)},
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SIZES = ("total", "visible", "reclaimable", "pushed", "growth")
_HELP = (
    "say total, visible, reclaimable, pushed or growth with a size (100MB, 64MiB), reclaimable "
    "also with a part (5%), layers with a number, efficiency with one from 0 to 1"
)

#: What is limited → the limit, as it was written.
Limits = Mapping[str, str]


def read_limits(words: str | None, config: Path | None) -> dict[str, str]:
    """The limits of a configuration file and, above them, those of the command line.

    Args:
        words: ``NAME=VALUE,NAME=VALUE``; None for none.
        config: a TOML file, whose table ``fail-over`` has names and values; if None, the file
            ``.overlaylab.toml`` here, if there is one.

    Raises:
        BadLimit: something in them is not understood.
        OSError: the file cannot be read.
    """
    found: dict[str, str] = {}
    path = config or Path(CONFIG)
    if config is not None or path.is_file():
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise BadLimit(f"{path} is no TOML ({error}): correct it.") from None
        unknown = sorted(set(table) - {_TABLE})
        values = table.get(_TABLE, {})
        if unknown or not isinstance(values, dict):
            what = unknown[0] if unknown else _TABLE
            raise BadLimit(
                f"{path} has {what!r}, and only a table [{_TABLE}] is known: correct it."
            )
        found |= {name: str(value) for name, value in values.items()}
    for word in filter(None, map(str.strip, (words or "").split(","))):
        name, equal, value = word.partition("=")
        if not equal:
            raise BadLimit(f"{word!r} is no limit: write NAME=VALUE; {_HELP}.")
        found[name.strip()] = value.strip()
    for name, value in found.items():
        _check(name, value)
    return found


def _check(name: str, value: str) -> None:
    if name in _SIZES:
        part = name == "reclaimable" and value.endswith("%")
        good = _NUMBER.fullmatch(value[:-1]) if part else _SIZE.fullmatch(value)
    elif name == "layers":
        good = re.fullmatch(r"\d+", value)
    elif name == "efficiency":
        good = _NUMBER.fullmatch(value) if _NUMBER.fullmatch(value) and float(value) <= 1 else None
    else:
        raise BadLimit(f"{name!r} is nothing that can be limited: {_HELP}.")
    if not good:
        raise BadLimit(f"{name}={value} is not understood: {_HELP}.")


def size_of(text: str) -> int:
    """The bytes that a size means: ``100MB`` is decimal, ``64MiB`` binary.

    Raises:
        BadLimit: it is none.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise BadLimit(f"{text!r} is no size: write 1000000, 100MB or 64MiB.")
    return int(float(match[1]) * _FACTORS[match[2].lower()])


def broken(
    limits: Limits, report: Report, before: Report | None = None, *, units: SizeUnits = "decimal"
) -> list[str]:
    """A sentence about each limit that an image breaks.

    Args:
        limits: what :func:`read_limits` gave.
        report: about the image; made with ``dive=True`` if its efficiency is limited.
        before: about the one that it grew from, if there is one.
        units: how sizes are written.

    Raises:
        BadLimit: one of them cannot be seen here.
    """
    found = []
    for name, value in limits.items():
        if name == "efficiency":
            if report.efficiency < float(value):
                found.append(f"The efficiency is {report.efficiency:.4f}, and has to be {value}.")
            continue
        if name == "layers":
            if len(report.own_layers) > int(value):
                found.append(f"There are {len(report.own_layers)} layers, and {value} are allowed.")
            continue
        size = _measured(name, report, before)
        if value.endswith("%"):
            most = int(float(value[:-1]) / 100 * report.total_bytes)
            allowed = f"{value} ({human_text(most, units)})"
        else:
            most = size_of(value)
            allowed = human_text(most, units)
        if size > most:
            exactly = human_text(size, units)
            if exactly == human_text(most, units):  # three digits do not show it
                exactly, allowed = f"{size:,} bytes", f"{most:,}"
            found.append(f"{_SAID[name]} {exactly}, and {allowed} is allowed.")
    return found


_SAID = {
    "total": "All layers store",
    "visible": "A container sees",
    "reclaimable": "Nobody sees",
    "pushed": "A registry has",
    "growth": "The image grew by",
}


def _measured(name: str, report: Report, before: Report | None) -> int:
    if name == "growth":
        if before is None:
            raise BadLimit("growth is seen in a comparison: use 'overlaylab compare OLD NEW'.")
        return report.total_bytes - before.total_bytes
    if name == "pushed":
        if report.pushed_bytes is None:
            raise BadLimit(
                "How much is pushed is not known, for the file has layers that are not "
                "compressed: measure it, with --pushed."
            )
        return report.pushed_bytes
    sizes = {
        "total": report.total_bytes,
        "visible": report.visible_bytes,
        "reclaimable": report.reclaimable_bytes,
    }
    return sizes[name]
