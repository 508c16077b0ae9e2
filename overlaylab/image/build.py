"""Building an image from a Dockerfile, on overlay mounts.

Every instruction that changes files works in the merged directory of a mount on the layers so
far, and what is then in upper becomes the next layer. The others change the config alone.
"""

from __future__ import annotations

import copy
import errno
import fnmatch
import hashlib
import os
import posixpath
import re
import shlex
import shutil
import stat
import subprocess
import tarfile
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BadDockerfile, BadImage, OverlaylabError
from ..lab import Lab
from ..layer import Content, Layer, Stored, make_directories, write_content
from ..linux.sandbox import Limits, Root
from ..overlay import Overlay
from ..text import Table, Tabular, printable, shortened, size_text
from ..trees import copy_attributes, copy_entry, remove_tree
from .blob import Blob, Json, decompress
from .dockerfile import Instruction, expand, json_list, parse, words
from .image import Image
from .model import ImageLayer, new_rest, time_text
from .unpack import unpack

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Work = Callable[[Overlay], object]

#: Seconds that a RUN may take.
_TIMEOUT = 600
_WIDTH = 48


@dataclass(frozen=True)
class BuildStep:
    """What one instruction did.

    Attributes:
        instruction: its text.
        layer: the layer that it made; None for the config only.
        bytes: what the layer stores.
        cached: it was made by an earlier build.
        note: what is printed of it.
    """

    instruction: str
    layer: Layer | None
    bytes: int
    cached: bool
    note: str


@dataclass(frozen=True, repr=False)
class Build(Tabular):
    """A build that went through.

    Attributes:
        image: what was built.
        layers: its layers in the lab, the top one first, as a mount takes them.
        steps: the instructions, in order.
    """

    image: Image
    layers: list[Layer]
    steps: list[BuildStep]

    def _table(self) -> Table:
        rows = []
        for number, step in enumerate(self.steps, 1):
            instruction = shortened(printable(step.instruction), _WIDTH)
            rows.append((str(number), instruction, step.note))
        return Table(rows)


@dataclass
class _Known:
    """What the builds of one lab have made: the cache."""

    layers: dict[str, Layer | None] = field(default_factory=dict)
    bases: dict[tuple[str, ...], list[Layer]] = field(default_factory=dict)
    init: Layer | None = None
    count: int = 0


_known: weakref.WeakKeyDictionary[Lab, _Known] = weakref.WeakKeyDictionary()


def build(
    lab: Lab,
    dockerfile: str,
    context: Content | str | os.PathLike[str] | None = None,
    *,
    images: Mapping[str, Image | Layer] | None = None,
    args: Mapping[str, str] | None = None,
    target: str | None = None,
    network: bool = False,
) -> Build:
    """Build an image.

    Known are FROM, COPY, ADD (of a file or a tar of the context), RUN, WORKDIR, ENV, ARG, USER,
    LABEL, CMD, ENTRYPOINT, EXPOSE and VOLUME, and several stages. RUN sees the image as its
    ``/``; it needs a ``/bin/sh`` there. What was built before in this lab is not built again,
    under Docker's rule: the same layers below, the same instruction, the same files.

    Args:
        lab: where the layers are made.
        dockerfile: its text.
        context: the files for COPY and ADD: a directory, or content as :meth:`.Lab.layer` takes.
        images: what FROM and ``COPY --from`` may name.
        args: values for ARG.
        target: the stage to stop at.
        network: RUN may use this machine's network.

    Raises:
        BadDockerfile: an instruction is not understood, or a command failed; with its line.
            Nothing is left of that instruction.
    """
    known = _known.setdefault(lab, _Known())
    known.count += 1
    with _context(lab, context, known) as directory:
        builder = _Builder(lab, known, directory, dict(images or {}), dict(args or {}), network)
        for instruction in parse(dockerfile):
            if instruction.keyword == "FROM" and builder.is_at(target):
                break
            try:
                builder.do(instruction)
            except OverlaylabError:
                raise
            except (OSError, ValueError, OverflowError, RecursionError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                remedy = "make room" if _is_full(error) else "correct it"
                raise instruction.error(f"it cannot be done ({reason})", remedy) from None
    if target is not None and not builder.is_at(target):
        raise BadDockerfile(f"The Dockerfile has no stage {target!r}: name one with FROM … AS.")
    return builder.result()


def _is_full(error: Exception) -> bool:
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def _context(
    lab: Lab, context: Content | str | os.PathLike[str] | None, known: _Known
) -> Iterator[Path]:
    if isinstance(context, str | os.PathLike):
        if not os.path.isdir(context):
            raise BadDockerfile(f"The context {context} is no directory: give one, or a dict.")
        yield Path(context).absolute()
        return
    place = lab.path / f"context-{known.count}"
    place.mkdir()
    try:
        write_content(str(place), context or {}, "context")
        yield place
    finally:
        remove_tree(str(place))


class _Stage:
    """The image as it is after some instructions."""

    def __init__(self) -> None:
        self.name = ""
        self.layers: list[Layer] = []  # the bottom one first
        self.image_layers: list[ImageLayer] = []
        self.config: Json = {}
        self.history: list[Json] = []
        self.args: dict[str, str] = {}
        self.key = ""

    @property
    def env(self) -> dict[str, str]:
        return dict(entry.partition("=")[::2] for entry in self.config.get("Env", []))

    @property
    def directory(self) -> str:
        return self.config.get("WorkingDir") or "/"

    @property
    def variables(self) -> dict[str, str]:
        return {**self.args, **self.env}


class _Builder:
    def __init__(
        self,
        lab: Lab,
        known: _Known,
        context: Path,
        images: dict[str, Image | Layer],
        args: dict[str, str],
        network: bool,
    ) -> None:
        self._lab = lab
        self._known = known
        self._context = context
        self._images = images
        self._args = args
        self._network = network
        self._global: dict[str, str] = {}
        self._stages: list[_Stage] = []
        self._steps: list[BuildStep] = []

    @property
    def _now(self) -> _Stage:
        return self._stages[-1]

    def is_at(self, target: str | None) -> bool:
        """Is the stage that was built last `target`?"""
        return target is not None and bool(self._stages) and self._find_stage(target) is self._now

    def result(self) -> Build:
        if not self._stages:
            raise BadDockerfile("The Dockerfile has no FROM: begin with the image to build on.")
        stage = self._now
        image = Image(stage.image_layers, stage.config, stage.history, new_rest(0))
        return Build(image, stage.layers[::-1], self._steps)

    def do(self, one: Instruction) -> None:
        """Carry out an instruction."""
        if one.keyword not in ("FROM", "ARG") and not self._stages:
            raise one.error("nothing is there to build on yet", "begin with FROM")
        getattr(self, f"_{one.keyword.lower()}")(one)

    # Instructions that change the config alone.

    def _config_only(self, one: Instruction) -> None:
        self._now.key = _digest(self._now.key, one.text)
        self._no_layer(one, "config only")

    def _no_layer(self, one: Instruction, note: str, *, cached: bool = False) -> None:
        self._now.history.append(_made_by(one.text) | {"empty_layer": True})
        self._steps.append(BuildStep(one.text, None, 0, cached, note))

    def _pairs(self, one: Instruction) -> dict[str, str]:
        found = words(one.value, self._now.variables)
        if "=" not in found[0]:  # the old form: ENV name the rest of the line
            name, _, rest = one.value.strip().partition(" ")
            if not rest or one.keyword == "LABEL":
                raise one.error("a value is missing", f"write {one.keyword} name=value")
            return {name: expand(rest.strip(), self._now.variables)}
        if bad := next((word for word in found if "=" not in word), ""):
            raise one.error(f"{bad!r} has no value", "write name=value, with quotes for blanks")
        return dict(word.partition("=")[::2] for word in found)

    def _env(self, one: Instruction) -> None:
        env = {**self._now.env, **self._pairs(one)}
        self._now.config["Env"] = [f"{name}={value}" for name, value in env.items()]
        self._config_only(one)

    def _label(self, one: Instruction) -> None:
        self._now.config["Labels"] = {**self._now.config.get("Labels", {}), **self._pairs(one)}
        self._config_only(one)

    def _arg(self, one: Instruction) -> None:
        scope = self._now.args if self._stages else self._global
        for word in words(one.value, self._now.variables if self._stages else self._global):
            name, equal, default = word.partition("=")
            value = self._args.get(name, default if equal else self._global.get(name))
            if value is not None:
                scope[name] = value
        if self._stages:
            self._config_only(one)

    def _user(self, one: Instruction) -> None:
        self._now.config["User"] = expand(one.value.strip(), self._now.variables)
        self._config_only(one)

    def _cmd(self, one: Instruction) -> None:
        command = json_list(one.value.strip()) or ["/bin/sh", "-c", one.value.strip()]
        self._now.config["Cmd" if one.keyword == "CMD" else "Entrypoint"] = command
        self._config_only(one)

    _entrypoint = _cmd

    def _expose(self, one: Instruction) -> None:
        ports = self._now.config.setdefault("ExposedPorts", {})
        for word in words(one.value, self._now.variables):
            if not re.fullmatch(r"\d+(-\d+)?(/(tcp|udp|sctp))?", word):
                raise one.error(f"{word!r} is no port", "write a number, like 80 or 53/udp")
            ports[word if "/" in word else f"{word}/tcp"] = {}
        self._config_only(one)

    def _volume(self, one: Instruction) -> None:
        paths = json_list(one.value.strip()) or words(one.value, self._now.variables)
        self._now.config.setdefault("Volumes", {}).update({path: {} for path in paths})
        self._config_only(one)

    # Instructions that make layers.

    def _from(self, one: Instruction) -> None:
        found = words(one.value, self._global)
        if len(found) not in (1, 3) or (len(found) == 3 and found[1].upper() != "AS"):
            raise one.error("it is not understood", "write FROM name, or FROM name AS stage")
        stage = _Stage()
        stage.name = found[2] if len(found) == 3 else ""
        if found[0] != "scratch":
            below = self._source(one, found[0])
            stage.layers, stage.image_layers = list(below.layers), list(below.image_layers)
            stage.config = copy.deepcopy(below.config)  # ports and volumes are added in place
            stage.history, stage.key = list(below.history), below.key
        self._stages.append(stage)
        number = len(stage.layers)
        note = f"{number} layer{'' if number == 1 else 's'}" if number else "nothing"
        self._steps.append(BuildStep(one.text, None, 0, False, note))

    def _find_stage(self, name: str) -> _Stage | None:
        if name.isdigit() and int(name) < len(self._stages):
            return self._stages[int(name)]
        named = [stage for stage in self._stages if stage.name and stage.name == name]
        return named[-1] if named else None

    def _source(self, one: Instruction, name: str) -> _Stage:
        """The stage, or the image that was given, of that name."""
        if (stage := self._find_stage(name)) is not None:
            return stage
        given = self._images.get(name)
        if given is None:
            names = ", ".join([*self._images, *(s.name for s in self._stages if s.name)])
            raise one.error(
                f"there is no image {name!r}", f"give it with images=; known are: {names or 'none'}"
            )
        stage = _Stage()
        image = Image.from_layers([given]) if isinstance(given, Layer) else given
        key = tuple(layer.diff_id for layer in image.layers)
        if isinstance(given, Layer):
            stage.layers = [given]
        else:
            if key not in self._known.bases:
                prefix = f"{re.sub(r'[^A-Za-z0-9.-]', '-', name)}{self._known.count}-"
                self._known.bases[key] = image.unpack(self._lab, prefix)[::-1]
            stage.layers = list(self._known.bases[key])
        stage.image_layers = list(image.layers)
        stage.config, stage.history = image.config, list(image.history)
        stage.key = _digest(*key)
        return stage

    def _run(self, one: Instruction) -> None:
        _, rest = one.flags()
        command = json_list(rest)
        script = "exec " + shlex.join(command) if command else rest
        stage = self._now
        env = {"PATH": _PATH, "HOME": "/root", **stage.args, **stage.env}
        directory = stage.directory

        def work(web: Overlay) -> None:
            user = _numbers(one, stage.config.get("User", ""), web.merged)
            root = Root(directory, env, user, self._network)
            try:
                done = web.run(script, Limits(_TIMEOUT), root)
            except PermissionError as error:
                raise one.error(
                    f"it cannot be run here ({error.strerror})", "install PRoot (package proot)"
                ) from None
            if done.reached:
                raise one.error(f"it was stopped at {done.reached}", "give it less to do")
            if done.returncode:
                said = " ".join((done.stderr or done.stdout).split()) or "it said nothing"
                raise one.error(f"it ended with status {done.returncode} ({said})", "correct it")

        self._layer(one, work, *sorted(f"{k}={v}" for k, v in stage.args.items()))

    def _workdir(self, one: Instruction) -> None:
        stage = self._now
        path = posixpath.join(stage.directory, expand(one.value.strip(), stage.variables))
        stage.config["WorkingDir"] = posixpath.normpath(path)
        with self._mounted(stage) as web:
            there = _inside(web.merged, path).is_dir()
        if there:
            self._config_only(one)
        else:
            self._layer(one, lambda web: _make_directory(_inside(web.merged, path)))

    def _copy(self, one: Instruction) -> None:
        known = ("chmod", "chown") if one.keyword == "ADD" else ("from", "chmod", "chown")
        flags, rest = one.flags(*known)
        variables = self._now.variables
        found = json_list(rest) or words(rest, variables)
        if len(found) < 2:
            raise one.error("a source or the destination is missing", "write COPY source /place")
        *sources, place = found
        if "from" not in flags:
            self._copy_from(one, self._context, sources, place, flags)
            return
        with self._mounted(self._source(one, expand(flags["from"], variables))) as web:
            self._copy_from(one, web.merged, sources, place, flags)

    _add = _copy

    def _copy_from(
        self, one: Instruction, root: Path, sources: list[str], place: str, flags: dict[str, str]
    ) -> None:
        files = [path for source in sources for path in _matching(one, root, source)]
        mode, owner = _mode(one, flags.get("chmod")), _owner(one, flags.get("chown", "0:0"))
        directory = self._now.directory

        def work(web: Overlay) -> None:
            path = posixpath.join(directory, place)
            target = _inside(web.merged, path)
            into = place.endswith("/") or target.is_dir()
            if len(files) > 1 and not into:
                raise one.error(f"{place!r} is no directory", "end it with / for several files")
            for file in files:
                if file.is_dir():
                    _copy_into(file, web.merged, path, mode, owner)
                elif one.keyword == "ADD" and file.is_file() and tarfile.is_tarfile(file):
                    self._unpack(one, file, web.merged, path)
                else:
                    _copy_file(file, target / file.name if into else target, mode, owner)

        self._layer(one, work, *(_content_of(file) for file in files))

    def _unpack(self, one: Instruction, archive: Path, root: Path, path: str) -> None:
        """Lay what is in an archive over `path` of the image.

        It is unpacked beside the image first, where no link leads anywhere.
        """
        blob = Blob(archive, 0, archive.stat().st_size)
        listed: set[str] = set()

        def fill(place: Path) -> None:
            chunks = decompress(blob.chunks())
            listed.update(unpack(chunks, str(place), marks=False))

        self._known.count += 1
        try:
            staged = self._lab.new_layer(f"add{self._known.count}-of-builds", fill)
        except BadImage as error:
            what = f"{archive.name} cannot be unpacked ({str(error).rstrip('.')})"
            raise one.error(what, "make it again") from None
        try:
            _lay_over(staged.path, "", root, path, listed, {})
        finally:
            self._lab.remove_layer(staged.name)

    @contextmanager
    def _mounted(self, stage: _Stage) -> Iterator[Overlay]:
        """A mount on the layers of `stage`, which is gone afterwards."""
        lab = self._lab
        # Docker puts such a layer, called init, beneath a container as well: what is mounted
        # there must not be in the image.
        if self._known.init is None:
            self._known.init = lab.layer("init-of-builds", {"dev/": None, "proc/": None})
        self._known.count += 1
        name = f"build{self._known.count}"
        with lab.temporary(name, lower=[*stage.layers[::-1], self._known.init]) as web:
            yield web

    def _layer(self, one: Instruction, work: Work, *besides: str) -> None:
        """Do `work` on a mount, and commit it; or take what an earlier build made."""
        stage = self._now
        text = one.text if one.keyword == "RUN" else expand(one.text, stage.variables)
        place = (stage.config.get("WorkingDir", ""), stage.config.get("User", ""))
        stage.key = _digest(stage.key, text, *place, *stage.config.get("Env", []), *besides)
        cached = stage.key in self._known.layers
        if not cached:
            with self._mounted(stage) as web:
                work(web)
                name = f"{one.keyword.lower()}{len(self._known.layers) + 1}"
                # As for Docker, what leaves nothing in upper makes no layer.
                changed = any(web.upper.iterdir())
                self._known.layers[stage.key] = web.commit(name) if changed else None
        layer = self._known.layers[stage.key]
        if layer is None:
            self._no_layer(one, "nothing changed", cached=cached)
            return
        stage.layers.append(layer)
        stage.image_layers.append(ImageLayer.of(layer))
        stage.history.append(_made_by(one.text))
        stored = Stored()
        for _, entry in layer.walk():
            stored.add(entry)
        size = stored.bytes
        note = f"layer {layer.name}, {size_text(size)}" + (", cached" if cached else "")
        self._steps.append(BuildStep(one.text, layer, size, cached, note))


def _digest(*parts: str) -> str:
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(os.fsencode(part) + b"\0")
    return hasher.hexdigest()


def _made_by(text: str) -> Json:
    return {"created": time_text(0), "created_by": text}


def _inside(root: Path, path: str) -> Path:
    """Where `path` of an image is below `root`; links lead to where they would in a container."""
    done: list[str] = []
    left = [part for part in path.split("/") if part not in ("", ".")]
    for _ in range(255):  # as many links as a path may have, and some
        if not left:
            break
        part = left.pop(0)
        place = root.joinpath(*done, part)
        if part == "..":
            done = done[:-1]
        elif place.is_symlink():
            target = os.readlink(place)
            done = [] if target.startswith("/") else done
            left = [one for one in target.split("/") if one not in ("", ".")] + left
        else:
            done.append(part)
    return root.joinpath(*done)


def _make_directory(place: Path) -> None:
    make_directories("/", str(place))


def _numbers(one: Instruction, user: str, root: Path) -> str:
    """``uid:gid`` for what USER said, names looked up in the image."""
    name, _, group = (user or "0").partition(":")
    uid, gid = name, "0"
    if not name.isdigit():
        entry = _look_up(root, "etc/passwd", name)
        if entry is None:
            raise one.error(f"the image knows no user {name!r}", "write USER with a number")
        uid, gid = entry[2], entry[3]
    if group and not group.isdigit():
        entry = _look_up(root, "etc/group", group)
        if entry is None:
            raise one.error(f"the image knows no group {group!r}", "write USER with numbers")
        group = entry[2]
    return f"{uid}:{group or gid}"


def _look_up(root: Path, table: str, name: str) -> list[str] | None:
    place = _inside(root, table)
    lines = place.read_text(errors="replace").splitlines() if place.is_file() else []
    entries = [line.split(":") for line in lines]
    return next((entry for entry in entries if entry[0] == name and len(entry) >= 3), None)


def _matching(one: Instruction, root: Path, pattern: str) -> list[Path]:
    """The files that a source of COPY means, ``*`` and ``?`` included; sorted."""
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    if "://" in pattern:
        raise one.error("overlaylab gets nothing from a network", "put the file into the context")
    if ".." in parts:
        raise one.error("'..' leads out of the context", "give a path inside it")
    found = [root]
    for part in parts:
        if re.search(r"[*?\[]", part):
            below = [child for place in found if place.is_dir() for child in place.iterdir()]
            found = sorted(c for c in below if fnmatch.fnmatchcase(c.name, part))
        else:
            found = [place / part for place in found if os.path.lexists(place / part)]
        if any(place.is_symlink() for place in found):  # it could lead out, to this machine
            raise one.error(f"{pattern!r} is or goes through a link", "name the real path")
    if not found:
        raise one.error(f"{pattern!r} is not there", "check the name, and the context")
    return found


def _mode(one: Instruction, text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-7]{3,4}", text):
        raise one.error(f"--chmod={text} is no mode", "write one like 755")
    return int(text, 8)


def _owner(one: Instruction, text: str) -> tuple[int, int]:
    uid, _, gid = text.partition(":")
    if not uid.isdigit() or (gid and not gid.isdigit()):
        raise one.error(f"--chown={text} has no numbers", "write it like 1000:1000")
    return int(uid), int(gid or uid)


def _copy_into(
    source: Path, root: Path, path: str, mode: int | None, owner: tuple[int, int]
) -> None:
    """Copy what is in a directory into `path` of the image, which is made if it is not there.

    At every level the links of the image lead to where they would in a container: on this
    machine they must not lead anywhere.
    """
    target = _inside(root, path)
    _make_directory(target)
    for child in sorted(source.iterdir()):
        if child.is_dir() and not child.is_symlink():
            below = f"{path}/{child.name}"
            made = not os.path.lexists(target / child.name)
            _copy_into(child, root, below, mode, owner)
            if made:
                _set_owner(target / child.name, owner)
                default = stat.S_IMODE(child.stat().st_mode)
                (target / child.name).chmod(default if mode is None else mode)
        else:
            _copy_file(child, target / child.name, mode, owner)


def _copy_file(source: Path, target: Path, mode: int | None, owner: tuple[int, int] | None) -> None:
    """Copy a file with the given mode and owner; with its own, where one is None."""
    _make_directory(target.parent)
    if os.path.lexists(target):
        remove_tree(str(target))
    copy_entry(str(source), str(target))
    if owner is not None:
        _set_owner(target, owner)
    if mode is not None and not target.is_symlink():
        target.chmod(mode)


def _set_owner(place: Path, owner: tuple[int, int]) -> None:
    if owner != (os.getuid(), os.getgid()) and os.geteuid() == 0:
        os.chown(place, *owner, follow_symlinks=False)


def _lay_over(
    staged: Path, part: str, root: Path, path: str, listed: Collection[str], made: dict[int, Path]
) -> None:
    """Copy what is in the directory `part` of an unpacked archive into `path` of the image.

    Args:
        staged: where the archive was unpacked.
        part: which directory of it.
        root: the image; its links lead to where they would in a container.
        path: where in it.
        listed: the directories whose attributes the archive says.
        made: inode number → its first copy, for hard links.
    """
    target = _inside(root, path)
    if target.exists() and not target.is_dir():
        remove_tree(str(target))
    _make_directory(target)
    for child in sorted((staged / part).iterdir()):
        place = target / child.name
        status = child.lstat()
        if stat.S_ISDIR(status.st_mode):
            below = f"{part}/{child.name}" if part else child.name
            _lay_over(staged, below, root, f"{path}/{child.name}", listed, made)
        elif status.st_ino in made:
            if os.path.lexists(place):
                remove_tree(str(place))
            os.link(made[status.st_ino], place, follow_symlinks=False)
        else:
            _copy_file(child, place, None, None)
            made[status.st_ino] = place
    if part in listed:
        copy_attributes(str(staged / part), str(target))


def _content_of(place: Path) -> str:
    """A digest of names, kinds, modes and content, which is what Docker's cache looks at."""
    status = place.lstat()
    what = f"{place.name} {status.st_mode:o}"
    if stat.S_ISLNK(status.st_mode):
        return _digest(what, os.readlink(place))
    if stat.S_ISDIR(status.st_mode):
        return _digest(what, *(_content_of(child) for child in sorted(place.iterdir())))
    if not stat.S_ISREG(status.st_mode):
        return what
    with open(place, "rb") as file:
        return _digest(what, hashlib.file_digest(file, "sha256").hexdigest())


def base_image(lab: Lab, name: str = "base") -> Image:
    """A small image to start from, made of what this machine has.

    That is busybox if there is a static one, else the shell and some tools with the libraries
    that they need. How large it is depends on the machine.

    Args:
        lab: where its layer is made.
        name: what to call it.

    Raises:
        BadName: the name cannot be used, or is used.
    """
    layer = lab.new_layer(name, _fill_base)
    config = {"Env": [f"PATH={_PATH}"], "Cmd": ["/bin/sh"]}
    return Image.from_layers([layer], config=config, created_by=["made of this machine's tools"])


_TOOLS = (
    *("sh", "ls", "cat", "cp", "mv", "rm", "ln", "mkdir", "rmdir", "chmod", "chown", "touch"),
    *("head", "tail", "wc", "grep", "sed", "uname", "id", "true", "false", "sleep", "env", "pwd"),
    *("sort", "find", "tar", "du", "stat", "test", "truncate", "dd"),
)


def _fill_base(root: Path) -> None:
    content = {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n"}
    places = {
        f"{place}/": None for place in ("bin", "dev", "proc", "sys", "tmp", "root", "usr/bin")
    }
    write_content(str(root), {**content, **places}, "base")
    (root / "tmp").chmod(0o1777)
    busybox = shutil.which("busybox")
    if busybox and _libraries(busybox) == []:
        shutil.copyfile(busybox, root / "bin/busybox")
        (root / "bin/busybox").chmod(0o755)
        for tool in _TOOLS:
            (root / "bin" / tool).symlink_to("busybox")
        return
    for tool in _TOOLS:
        found = shutil.which(tool)
        for file in [found, *_libraries(found)] if found else []:
            target = root / "bin" / tool if file == found else root / file.lstrip("/")
            _make_directory(target.parent)
            shutil.copyfile(file, target)
            target.chmod(0o755)


def _libraries(program: str) -> list[str]:
    """What ldd(1) says that it needs; nothing for a static one, or where there is no ldd."""
    if shutil.which("ldd") is None:
        return []
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return re.findall(r"(/\S+) \(0x", done.stdout)
