"""Predictions and exercises of lesson 01, see many directories as one."""

from __future__ import annotations

from collections.abc import Mapping

from ...layer import Layer
from ...overlay import Overlay
from ..practice.contents import Outcome
from ..practice.exercises import Task
from .states import changed_besides, missing, no_file, text, text_differs, touched, untouched

_MOTD = "etc/motd"


def _second(overlay: Overlay) -> Overlay:
    """The container that was mounted last; `overlay` itself if there is no other."""
    mounts = overlay.lab.mounts if overlay.lab else {}
    return next((one for one in reversed(mounts.values()) if one.mounted), overlay)


def _other_layers(overlay: Overlay) -> bool:
    paths = [[layer.path for layer in one.lower] for one in (overlay, _second(overlay))]
    return paths[0] != paths[1]


def _layer_was_changed(overlay: Overlay) -> bool:
    files = [layer.path / _MOTD for layer in overlay.lower]
    return [file.read_text() for file in files if file.is_file()] != ["base\n"]


def _listing(web: Overlay) -> str:
    return " ".join(sorted(entry.name for entry in (web.merged / "etc").iterdir()))


def _data(mixed: Overlay) -> str:
    place = mixed.merged / "data"
    return "a" if place.is_file() else "b" if place.is_dir() else "c"


def _reading(web: Overlay) -> str:
    found = dict(Layer(web.upper).walk())
    files = {path for path, entry in found.items() if entry.kind != "directory"}
    read = {
        f"{name}/{file.name}" for name in ("etc", "bin") for file in (web.merged / name).iterdir()
    }
    if files:
        return "a" if files == read else f"upper holds {', '.join(sorted(files))}"
    return "c" if found else "b"


def _other(other: Overlay) -> str:
    return (text(other, _MOTD) or "b").strip()


def _write(view: Overlay) -> str:
    if any((layer.path / "etc/new").exists() for layer in view.lower):
        return "b"
    return "c" if (view.merged / "etc/new").exists() else "a"


OUTCOMES: Mapping[str, Outcome] = {
    "motd": lambda web: " and ".join((web.merged / _MOTD).read_text().splitlines()),
    "listing": _listing,
    "data": _data,
    "reading": _reading,
    "other": _other,
    "write": _write,
}

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
                touched,
                "upper is not empty: solve it by the order of the layers alone.",
            ),
            (text_differs("shape", "round"), "shape is square: layer a is asked before layer b."),
            (text_differs("colour", "red"), "colour is blue: layer c is asked before layer a."),
            (text_differs("size", "small"), "size is big: layer c is asked before layer b."),
        ],
        order=("b", "a", "c"),
    ),
    Task(
        layers={"app": {"srv/app.txt": "app\n"}, "base": {_MOTD: "base\n"}},
        mistakes=[
            (
                _layer_was_changed,
                "a layer was changed, and with it every container that stands on it: write in "
                "merged, and run the cell with exercise(…) to begin again.",
            ),
            (
                lambda overlay: _second(overlay) is overlay,
                "there is only one container yet: mount the same layers a second time, in ex3.lab.",
            ),
            (
                _other_layers,
                "the second container stands on other layers, or in another order. Run the cell "
                "with exercise(…) to begin again, and give it those of the first: their names, in "
                "quotation marks.",
            ),
            (
                lambda overlay: not _second(overlay).writable,
                "the second container has no upper, so nothing can be written in it: run the "
                "cell with exercise(…) to begin again.",
            ),
            (text_differs(_MOTD, "one"), "etc/motd of the first container does not say: one"),
            (
                lambda overlay: text_differs(_MOTD, "two")(_second(overlay)),
                "etc/motd of the second container does not say: two",
            ),
            (
                lambda overlay: any(
                    changed_besides(_MOTD)(one) for one in (overlay, _second(overlay))
                ),
                "an upper holds more than etc/motd.",
            ),
        ],
        python=True,
        solution="""
second = ex.lab.mount("second", lower=["app", "base"])
(ex.overlay.merged / "etc/motd").write_text("one\\n")
(second.merged / "etc/motd").write_text("two\\n")
""",
    ),
]
