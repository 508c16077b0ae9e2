"""The builder: stages in turn, layers out of mounts, and what an earlier build has made already.

Every instruction that changes files works in the merged directory of a mount on the layers so
far, and what is then in upper becomes the next layer. The others change the config alone. Where
builders differ it is as BuildKit has it: what makes files makes a layer, be it an empty one.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..changes import unchanged
from ..errors import BadDockerfile, BadImage, OverlaylabError
from ..lab import Lab
from ..layer import Content, Layer, Stored, write_content
from ..overlay import Overlay
from ..text import Table, Tabular, printable, shortened, size_text
from ..trees import remove_tree
from .blob import Blob, decompress
from .contents import full_name
from .dockerfile.base import base_image
from .dockerfile.checks import check, read_trigger
from .dockerfile.config import INSTRUCTIONS, cleaned
from .dockerfile.context import Source, context_at
from .dockerfile.copying import Copying
from .dockerfile.fetching import fetch, is_repository, is_url
from .dockerfile.files import Files
from .dockerfile.reading import Instruction, parse
from .dockerfile.running import Run, Surroundings
from .dockerfile.stage import PATH, Stage, clean, digest
from .dockerfile.stages import find_stage, read_stages
from .dockerfile.users import find_owner
from .image import Image
from .model import ImageLayer, new_rest
from .unpack import unpack

__all__ = ["Build", "BuildStep", "base_image", "build"]

Work = Callable[[Overlay], object]

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

    layers: dict[str, Layer] = field(default_factory=dict)
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
    secrets: Mapping[str, bytes] | None = None,
) -> Build:
    """Build an image, as BuildKit builds it.

    All instructions are known, with the options that BuildKit has, but for what needs an agent or a
    device (``--mount=type=ssh,required``, ``--security=insecure``, ``--device``) and git. All are
    read before one is carried out, also those of stages that nobody needs. RUN sees the image as
    its ``/``, and a /dev, /proc, /etc/hosts and /etc/resolv.conf that are not in the image (no
    /proc where none may be mounted); exec forms need no shell. ``VOLUME`` drops nothing. A
    .dockerignore in the context counts. What was built before in this lab is not built again, under
    Docker's rule: the same layers below, the same instruction, the same files; caches of ``RUN
    --mount=type=cache`` live as long as the lab.

    Args:
        lab: where the layers are made.
        dockerfile: its text.
        context: the files for COPY and ADD: a directory, or content as :meth:`.Lab.layer` takes.
        images: what FROM and ``COPY --from`` may name, short or in full (``app``,
            ``docker.io/library/app:latest``).
        args: values for ARG.
        target: the name of the stage to stop at; stages that it does not need are not built.
        network: RUN may use this machine's network, and ADD get a URL.
        secrets: id → what ``RUN --mount=type=secret`` shows; in no layer, in no cache.

    Raises:
        BadDockerfile: an instruction is not understood, or a command failed; with its line.
            Nothing is left of that instruction.
    """
    known = _known.setdefault(lab, _Known())
    known.count += 1
    given = _Given(dict(images or {}), dict(args or {}), network, dict(secrets or {}))
    found = parse(dockerfile)
    for one in found:
        check(one)
    stages, variables = read_stages(found, given.args, target)
    with _context(lab, context, known) as directory:
        builder = _Builder(lab, known, directory, given, stages, variables)
        builder.build(len(stages) - 1 if target is None else find_stage(stages, target))
        return builder.result()


@dataclass(frozen=True)
class _Given:
    """What the caller of a build gives."""

    images: dict[str, Image | Layer]
    args: dict[str, str]
    network: bool
    secrets: dict[str, bytes]

    def image(self, name: str) -> Image | Layer | None:
        """The image of that name, short or in full: ``docker.io/library/busybox:latest``."""
        same = (one for one in self.images if full_name(one) == full_name(name))
        return self.images.get(name) or next((self.images[one] for one in same), None)


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


class _Builder:
    def __init__(
        self,
        lab: Lab,
        known: _Known,
        context: Path,
        given: _Given,
        stages: list[Stage],
        variables: dict[str, str],
    ) -> None:
        self._lab = lab
        self._known = known
        self._directory = context
        self._given = given
        self._stages = stages
        self._global = variables
        self._read: Source | None = None
        self._steps: list[BuildStep] = []
        self._now = Stage()
        self._number = 0

    def result(self) -> Build:
        stage = self._now
        image = Image(stage.image_layers, stage.config, stage.history, stage.rest)
        return Build(image, stage.layers[::-1], self._steps)

    def build(self, target: int) -> None:
        """Build a stage, and first those that it needs.

        Raises:
            BadDockerfile: one fails, or there are stages that need one another.
        """
        self._in_order(*range(len(self._stages)))
        for number in self._in_order(target):
            self._number, self._now = number, self._stages[number]
            self._begin()
            for one in (*self._triggers(number), *self._now.instructions):
                self._do(one)

    def _in_order(self, *targets: int) -> list[int]:
        """The stages that are needed for `targets`, each after those that it needs itself.

        Raises:
            BadDockerfile: some need one another.
        """
        done: dict[int, None] = {}
        left = [(number, False) for number in targets]
        open_: set[int] = set()
        while left:
            number, all_there = left.pop()
            if all_there:
                open_.discard(number)
                done[number] = None
            elif number in open_:
                one = self._stages[number].begin
                assert one is not None
                raise one.error("this stage needs itself", "take the circle out")
            elif number not in done:
                open_.add(number)
                left.append((number, True))
                left += [(one, False) for one in sorted(self._needs(number), reverse=True)]
        return list(done)

    def _base_of(self, number: int) -> int:
        """The stage that a stage is built on; -1 if that is an image."""
        base = self._stages[number].base  # in this case: names of images have no large letters
        names = [stage.name for stage in self._stages[:number]]
        return max((n for n, name in enumerate(names) if name == base), default=-1)

    def _triggers(self, number: int) -> list[Instruction]:
        """What the ONBUILD of the base of a stage have it do."""
        stage, base = self._stages[number], self._base_of(number)
        one = stage.begin
        assert one is not None
        if base >= 0:
            below = Stage()
            for inner in self._stages[base].instructions:
                if inner.keyword == "ONBUILD":
                    INSTRUCTIONS["ONBUILD"](below, inner)
            found = below.config.get("OnBuild", [])
        else:
            image = self._given.image(stage.base)
            found = image.config.get("OnBuild") or [] if isinstance(image, Image) else []
        return [read_trigger(one, text) for text in found]

    def _needs(self, number: int) -> list[int]:
        """The stages that a stage is built on or takes files from."""
        found = [self._base_of(number)]
        for one in (*self._triggers(number), *self._stages[number].instructions):
            for option in one.options:
                name, _, value = option.partition("=")
                if name == "--from" and one.keyword == "COPY":
                    found.append(find_stage(self._stages, value))
                elif name == "--mount" and one.keyword == "RUN":
                    settings = (part.partition("=") for part in value.split(","))
                    sources = [text for key, _, text in settings if key.lower() == "from"]
                    found += [find_stage(self._stages, text) for text in sources]
        return sorted({one for one in found if one >= 0})

    def _do(self, one: Instruction) -> None:
        """Carry out an instruction."""
        try:
            if one.keyword in INSTRUCTIONS:
                text = INSTRUCTIONS[one.keyword](self._now, one)
                if text:
                    self._now.note(text)
                self._config_only(one)
            else:
                getattr(self, f"_{one.keyword.lower()}")(one)
        except OverlaylabError:
            raise
        except (OSError, ValueError, OverflowError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            remedy = "make room" if _is_full(error) else "correct it"
            raise one.error(f"it cannot be done ({reason})", remedy) from None

    # Instructions that change the config alone.

    def _config_only(self, one: Instruction) -> None:
        self._now.key = digest(self._now.key, one.text)
        self._steps.append(BuildStep(one.text, None, 0, False, "config only"))

    def _arg(self, one: Instruction) -> None:
        stage, noted = self._now, []
        for word in one.quoted_words():
            name, equal, default = word.partition("=")
            value: str | None = None
            if name in self._given.args:
                value = self._given.args[name]
            elif equal:
                value = stage.expand(one, default)
            elif name in self._global:
                value = self._global[name]
            if value is not None:
                stage.variables[name] = value
            stage.args[name] = value or ""
            noted.append(name if value is None else f"{name}={value}")
        stage.note(" ".join(["ARG", *noted]))
        self._config_only(one)

    # Instructions that make layers.

    def _begin(self) -> None:
        stage, number = self._now, self._base_of(self._number)
        one = stage.begin
        assert one is not None
        stage.rest, stage.config = new_rest(0), {"WorkingDir": "/"}
        if number >= 0 or stage.base != "scratch":
            below = self._stages[number] if number >= 0 else self._image(one, stage.base)
            stage.layers, stage.image_layers = list(below.layers), list(below.image_layers)
            stage.config, stage.rest = cleaned(below.config), {**stage.rest, **below.rest}
            stage.config.pop("OnBuild", None)
            stage.history, stage.key = list(below.history), below.key
            stage.args = dict(below.args)
            # What ARG gave in a stage is known in one that is built on it.
            stage.variables = {**below.variables, **stage.env}
        if stage.platform:
            self._check_platform(one, stage)
        if "PATH" not in stage.env:
            stage.set_env("PATH", PATH)
        count = len(stage.layers)
        note = f"{count} layer{'' if count == 1 else 's'}" if count else "nothing"
        self._steps.append(BuildStep(one.text, None, 0, False, note))

    def _check_platform(self, one: Instruction, stage: Stage) -> None:
        system, architecture = stage.platform.split("/")[:2]
        if not stage.layers and stage.base == "scratch":
            stage.rest |= {"os": system, "architecture": architecture}
            return
        there = f"{stage.rest.get('os')}/{stage.rest.get('architecture')}"
        if there != f"{system}/{architecture}":
            raise one.error(
                f"the image is for {there}", f"give one for {stage.platform} with images="
            )

    def _image(self, one: Instruction, name: str) -> Stage:
        """The image that was given of that name."""
        given = self._given.image(name)
        if given is None:
            stages = (stage.name for stage in self._stages[: self._number] if stage.name)
            names = ", ".join([*self._given.images, *stages])
            if any(stage.name == name.lower() for stage in self._stages[: self._number]):
                raise one.error("FROM names a stage in small letters", f"write {name.lower()}")
            raise one.error(
                f"there is no image {name!r}", f"give it with images=; known are: {names or 'none'}"
            )
        image = Image.from_layers([given]) if isinstance(given, Layer) else given
        key = tuple(layer.diff_id for layer in image.layers)
        stage = Stage(base=name, key=digest(*key), config=dict(image.config))
        if isinstance(given, Layer):
            stage.layers = [given]
        else:
            if key not in self._known.bases:
                prefix = f"{re.sub(r'[^A-Za-z0-9.-]', '-', name)}{self._known.count}-"
                self._known.bases[key] = image.unpack(self._lab, prefix)[::-1]
            stage.layers = list(self._known.bases[key])
        stage.image_layers, stage.history = list(image.layers), list(image.history)
        kept = ("architecture", "os", "variant", "author")
        stage.rest = {name: image.rest[name] for name in kept if image.rest.get(name)}
        return stage

    def _source_stage(self, one: Instruction, name: str) -> Stage:
        """The stage, or the image that was given, of that name."""
        number = find_stage(self._stages, name)
        if number < 0:
            return self._image(one, name)
        return self._stages[number]

    @property
    def _context(self) -> Source:
        if self._read is None:
            self._read = context_at(self._directory)
        return self._read

    def _workdir(self, one: Instruction) -> None:
        stage = self._now
        path = stage.expand(one, one.value) or stage.directory
        if not path.startswith("/"):  # else BuildKit keeps it as it is (NormalizePath)
            path = clean(stage.directory, path)
        stage.config["WorkingDir"] = path
        if path == "/":
            stage.note(f"WORKDIR {path}")
            self._config_only(one)
            return

        def work(web: Overlay) -> None:
            owner = find_owner(web.merged, stage.user) if stage.user else (0, 0)
            Copying(web.merged, owner).make(stage.directory)

        self._layer(one, work, stage.layers, stage.key, path)
        stage.note(f"WORKDIR {path}", layer=True)

    def _copy(self, one: Instruction) -> None:
        flags, stage = one.flags(), self._now
        options = {name: stage.expand(one, flags[name][0]) for name in flags if name != "exclude"}
        found = one.words()
        documents = [document for word in found if (document := one.document(word))]
        *sources, place = (stage.expand(one, word) for word in found if not one.document(word))
        with ExitStack() as stack:
            source = self._context
            if options.get("from"):
                web = stack.enter_context(self._mounted_stage(one, options["from"]))
                source = Source(web.merged)
            fetched = self._fetch(one, sources, options.get("checksum", ""), stack)
            files = Files(
                one, stage, source, sources, place, documents, options,
                flags.get("exclude", []), fetched, self._unpacked,
            )  # fmt: skip
            text = " ".join([files.history, *one.options])
            if files.link:
                self._layer(one, files.work, [], "", text, *files.digests())
            else:
                self._layer(one, files.work, stage.layers, stage.key, text, *files.digests())
        stage.note(files.history, layer=True, files=True)

    _add = _copy

    def _fetch(
        self, one: Instruction, sources: list[str], checksum: str, stack: ExitStack
    ) -> dict[str, Path]:
        found: dict[str, Path] = {}
        if checksum and not any(map(is_url, sources)):
            raise one.error("--checksum is for a URL", "write it without")
        for url in filter(is_url, sources):
            if one.keyword == "COPY":
                raise one.error("COPY gets nothing from a network", "write ADD")
            if is_repository(url):
                raise one.error("overlaylab clones no repository", "clone it into the context")
            if not self._given.network:
                raise one.error(
                    "overlaylab gets nothing from a network unasked",
                    "build with network=True, or put the file into the context",
                )
            if checksum and len(sources) > 1:
                raise one.error("--checksum is for one source", "write an ADD for each")
            place = stack.enter_context(tempfile.TemporaryDirectory(dir=self._lab.path))
            try:
                found[url] = fetch(url, Path(place), checksum)
            except ValueError as error:
                raise one.error(str(error), "check the address") from None
        return found

    @contextmanager
    def _unpacked(self, one: Instruction, archive: Path) -> Iterator[tuple[Path, set[str]]]:
        """An archive, unpacked beside the image, where no link leads anywhere.

        Also the directories whose attributes it says.
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
            yield staged.path, listed
        finally:
            self._lab.remove_layer(staged.name)

    @contextmanager
    def _mounted_stage(self, one: Instruction, name: str) -> Iterator[Overlay]:
        """A mount on the stage or the image of that name."""
        with self._mounted(self._source_stage(one, name).layers) as web:
            yield web

    @contextmanager
    def _mounted(self, layers: list[Layer]) -> Iterator[Overlay]:
        """A mount on `layers`, the bottom one first, which is gone afterwards."""
        lab = self._lab
        if not layers:  # a mount needs one
            if self._known.init is None:
                self._known.init = lab.layer("init-of-builds")
            layers = [self._known.init]
        self._known.count += 1
        with lab.temporary(f"build{self._known.count}", lower=layers[::-1]) as web:
            yield web

    def _layer(
        self, one: Instruction, work: Work, layers: list[Layer], key: str, *besides: str
    ) -> None:
        """Do `work` on a mount of `layers`, and commit it; or take what an earlier build made.

        Args:
            one: the instruction.
            work: what it does.
            layers: what is below, the bottom one first.
            key: what these are.
            besides: what else the layer depends on.
        """
        stage = self._now
        key = digest(key, one.keyword, stage.directory, stage.user, *besides)
        cached = key in self._known.layers
        if not cached:
            made = None
            try:
                with self._mounted(layers) as web:
                    work(web)
                    made = web.commit(f"{one.keyword.lower()}{len(self._known.layers) + 1}")
                for path in unchanged(made, layers[::-1]):
                    place = made.path / path
                    (os.unlink if place.is_symlink() or not place.is_dir() else os.rmdir)(place)
            except BaseException:
                if made is not None:
                    self._lab.remove_layer(made.name)
                raise
            self._known.layers[key] = made
        layer = self._known.layers[key]
        stage.key = digest(stage.key, key)
        stage.layers.append(layer)
        stage.image_layers.append(ImageLayer.of(layer))
        stored = Stored()
        for _, entry in layer.walk():
            stored.add(entry)
        size = stored.bytes
        note = f"layer {layer.name}, {size_text(size)}" + (", cached" if cached else "")
        self._steps.append(BuildStep(one.text, layer, size, cached, note))

    def _run(self, one: Instruction) -> None:
        stage, given = self._now, self._given
        around = Surroundings(
            self._lab,
            given.args,
            given.secrets,
            given.network,
            lambda: self._context,
            self._mounted_stage,
        )
        run = Run(one, stage, around)
        self._layer(one, run.work, stage.layers, stage.key, *run.digests())
        args = [f"{name}={stage.variables.get(name, text)}" for name, text in stage.args.items()]
        counted = [f"|{len(args)}", *args] if args else []
        stage.note(" ".join(["RUN", *counted, *run.command]), layer=True, files=True)


def _is_full(error: Exception) -> bool:
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
