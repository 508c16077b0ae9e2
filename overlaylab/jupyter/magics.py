"""``%overlay`` and ``%%overlay``: thin, over plain functions that work without IPython."""

from __future__ import annotations

import html
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from typing import Any

from IPython import get_ipython
from IPython.core.completer import SimpleCompletion, context_matcher
from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import display

from .. import containers, lab
from ..doctor import doctor
from ..errors import OverlaylabError
from ..lab import find_overlay, open_overlays
from ..linux.sandbox import hidden
from ..overlay import Overlay
from ..text import Table, listed, printable
from . import explore, timeline
from .cells import Shown, running_cell

#: What ``%overlay`` can show, and what of it takes a path or a layer's name.
COMMANDS = (
    "status",
    "doctor",
    "tree",
    "changes",
    "lookup",
    "diagram",
    "history",
    "explore",
    "timeline",
    "progress",
    "container",
)

_MATCHER = "overlaylab"


#: The containers that were looked at, by the name that was given and by their own.
_containers: dict[str, Overlay] = {}


def look_at(name: str) -> Table:
    """Look at a container from now on: its layers, a line each.

    Args:
        name: as for :meth:`.Overlay.of`. A lab's overlay of that name goes before it.
    """
    overlay = Overlay.of(name)
    taken = {name.strip("/"), overlay.name} & {one.name for one in open_overlays()}
    if taken:
        raise UsageError(
            f"A lab has an overlay {taken.pop()!r} already, and one name is for one of them: close "
            f"that lab, or write container = Overlay.of({name!r})."
        )
    _containers.update({name.strip("/"): overlay, overlay.name: overlay})
    rows = [(printable(layer.name), printable(str(layer.path))) for layer in overlay.stack().layers]
    return Table([("layers, top first", "directory"), *rows], headed=True)


def _overlays() -> list[Overlay]:
    """All overlays that have a name here: those of labs, and containers that are still there."""
    looked_at = dict.fromkeys(_containers.values())
    return [*open_overlays(), *(one for one in looked_at if one.upper.is_dir())]


def _find(name: str) -> Overlay:
    """The overlay of that name, or the container."""
    return _containers[name] if _containers.get(name) in _overlays() else find_overlay(name)


def status() -> Table:
    """The overlays of all open labs, and the containers that are looked at, a line each."""
    rows = [
        (
            overlay.name,
            "mounted" if overlay.mounted else "unmounted",
            _layers(overlay),
            overlay.lab.name if overlay.lab else "",
        )
        for overlay in _overlays()
    ]
    header = [("overlay", "state", "layers, top first", "lab")] if rows else []
    nothing = "Nothing is mounted. Make a lab, and mount: lab.mount(…)."
    return Table(header + rows, empty=nothing, headed=True)


def _layers(overlay: Overlay) -> str:
    return " › ".join(layer.name for layer in overlay.stack().layers)


@magics_class
class OverlayMagics(Magics):
    """The magics of overlaylab."""

    @magic_arguments("overlay")
    @argument("command", nargs="?", default="status", help=", ".join(COMMANDS))
    @argument("name", nargs="?", help="the overlay: the name given to lab.mount")
    @argument("path", nargs="*", help="a path (lookup, diagram), or a layer's name (tree)")
    @argument("--report", action="store_true", help="with doctor: for a bug report")
    @line_magic("overlay")
    def show(self, line: str) -> object:
        """Show the state of an overlay.

        %overlay                       what is mounted
        %overlay doctor                what works on this machine, and why
        %overlay doctor --report       more of it, to be pasted into a bug report
        %overlay tree NAME [LAYER]     the files of merged, or of one layer
        %overlay changes NAME          what is in upper
        %overlay lookup NAME PATH      which layer answers for a path
        %overlay diagram NAME [PATH …] the layers as a picture
        %overlay history NAME          what each script and commit moved in upper
        %overlay explore NAME          the picture, to be asked about its paths
        %overlay timeline NAME         the picture at every step of the history
        %overlay container NAME        a container of Docker, Podman or nerdctl, as above
        %overlay progress [FILE]       which exercises are done; FILE is for a teacher
        """
        with _errors_as_sentences():
            return _show(parse_argstring(self.show, line))

    @magic_arguments("%overlay")
    @argument("name", help="the overlay: the name given to lab.mount")
    @argument("--timeout", type=float, default=60, help="seconds until the script is stopped")
    @cell_magic("overlay")
    def run(self, line: str, cell: str) -> None:
        """Run the cell as a shell script in an overlay, and show what it moved in upper.

        The script starts in merged, as a process in a container would in its root directory,
        and can write nowhere else but in /tmp.
        """
        arguments = parse_argstring(self.run, line)
        with _errors_as_sentences():
            overlay = _find(arguments.name)
            _warn(overlay.open_lab().no_fence())
            result = overlay.sh(cell, timeout=arguments.timeout, told=_print)
        if result.returncode:
            print(f"exit status {result.returncode}", file=sys.stderr)
        if overlay.writable:
            display(result.moved)
        if result.note:
            print(result.note)


def _print(stream: str, text: str) -> None:
    if text:
        getattr(sys, stream).write(text)


def _warn(sentence: str) -> None:
    """Say it before the script runs.

    On a page it is no part of the cell's text, which is compared and the same on every machine.
    """
    if not sentence:
        return
    if hasattr(get_ipython(), "kernel"):
        display({"text/html": f"<p><strong>{html.escape(sentence)}</strong></p>"}, raw=True)
    else:
        print(sentence)


_progress: Callable[[str | None], object]


def _show(arguments: Any) -> object:
    command, name, paths = arguments.command, arguments.name, arguments.path
    paths = [_unquoted(path) for path in paths]
    if command == "status":
        return status()
    if command == "doctor":
        if not arguments.report:
            return doctor()
        from ..bugreport import report

        return report()
    if command == "progress":
        return _progress(name)
    if command not in COMMANDS:
        raise UsageError(f"%overlay has no {command!r}: it has {', '.join(COMMANDS)}.")
    if name is None:
        if command == "container":
            raise UsageError(
                f"%overlay container needs a name ({listed(containers.names(), 'none')})."
            )
        names = ", ".join(overlay.name for overlay in _overlays()) or "none yet"
        raise UsageError(f"%overlay {command} needs the name of an overlay ({names}).")
    if command == "container":
        return look_at(name)
    overlay = _find(name)
    if command == "tree":
        return overlay.tree(*paths[:1])
    if command == "changes":
        return overlay.changes()
    if command == "diagram":
        return overlay.diagram(*paths)
    if command == "history":
        return overlay.history
    if command == "explore":
        return explore(overlay)
    if command == "timeline":
        return timeline(overlay)
    if not paths:
        raise UsageError("%overlay lookup needs a path, such as etc/motd.")
    return overlay.lookup(paths[0])


def _unquoted(word: str) -> str:
    """`word` without the quotes around it, which IPython keeps when it splits a line."""
    try:
        return " ".join(shlex.split(word))
    except ValueError:  # a quote that is not closed is a part of the name
        return word


def _show_sentence(
    shell: Any, kind: type[BaseException], error: BaseException, traceback: Any, **_: object
) -> list[str] | None:
    if isinstance(error, Shown):
        return []
    lines = [f"{kind.__name__}: {error}"]
    if kind is KeyboardInterrupt:
        lines = [f"{kind.__name__}: The cell was stopped, and what it had done until then stays."]
    if isinstance(error, NameError):
        if traceback.tb_next is None or traceback.tb_next.tb_next is not None:
            shell.showtraceback((kind, error, traceback), tb_offset=1)
            return None  # it comes from a function, which the traceback shows
        lines[0] += ": run the cells above first (Run → Run All Above), or look at its spelling."
    shell._showtraceback(kind, error, lines)
    return lines


class _errors_as_sentences:  # noqa: N801
    """Our own errors are complete sentences: show them without a traceback."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OverlaylabError):
            raise UsageError(str(error)) from None


def complete(line: str) -> list[str]:
    """Completions for the last word of an ``%overlay`` or ``%%overlay`` line."""
    words = line.split()
    done = words if line.endswith(" ") else words[:-1]
    names = [overlay.name for overlay in _overlays()]
    if done[:1] == ["%%overlay"]:
        return names if len(done) == 1 else ["--timeout"]
    if len(done) == 1:
        return list(COMMANDS)
    if done[1:] == ["container"]:
        return containers.names()
    if len(done) == 2:
        return {"status": [], "doctor": ["--report"]}.get(done[1], names)
    try:
        overlay = _find(done[2])
        layers = [layer.name for layer in overlay.stack().layers]
        if done[1] == "tree":
            return ["merged", *map(shlex.quote, layers)]
        return [shlex.quote(path) for layer in overlay.stack().layers for path, _ in layer.walk()]
    except OverlaylabError:
        return []


def register(
    ipython: Any,
    progress: Callable[[str | None], object],
    more: Mapping[str, Callable[[str, str], object]],
) -> None:
    """Make the magics, and the completion of their arguments, known to `ipython`.

    Our own errors in Python cells are shown as what they are, a sentence; ``%tb`` still shows
    where one came from. A name that a cell does not know is one that a cell above gives.

    Args:
        ipython: the shell.
        progress: what ``%overlay progress`` shows; it is given the name of a file, or None. The
            course has it, which is built on this and not known here.
        more: name of a cell magic → what it does with its line and cell; the course has these, too.
    """
    global _progress
    _progress = progress
    lab.running_cell = running_cell
    # With what is in there anybody can give this kernel something to run.
    connection = getattr(ipython, "config", {}).get("IPKernelApp", {}).get("connection_file")
    if isinstance(connection, str) and os.path.isabs(connection):
        hidden.add(os.path.dirname(connection))
    ipython.register_magics(OverlayMagics)
    for name, run in more.items():
        ipython.register_magic_function(run, "cell", name)
    own = (OverlaylabError, KeyboardInterrupt, NameError, Shown)
    ipython.set_custom_exc(own, _show_sentence)

    def matcher(context: Any) -> dict[str, object]:
        line = context.text_until_cursor.lstrip()
        word = line.rpartition(" ")[2]
        if line.split(" ")[0] not in ("%overlay", "%%overlay") or word == line:
            return {"completions": []}
        found = [SimpleCompletion(text=text) for text in complete(line) if text.startswith(word)]
        # Python's own names have no place in this line.
        return {"completions": found, "matched_fragment": word, "suppress": True}

    matchers = ipython.Completer.custom_matchers
    matchers[:] = [one for one in matchers if getattr(one, "matcher_identifier", "") != _MATCHER]
    matchers.append(context_matcher(identifier=_MATCHER)(matcher))
