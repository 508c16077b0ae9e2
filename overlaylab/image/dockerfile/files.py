"""The instructions COPY and ADD: what they copy, and what their history says."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ...overlay import Overlay
from . import words
from .context import Source
from .copying import Chmod, Copying, is_archive, read_mode
from .fetching import is_url
from .patterns import Patterns, has_wildcards
from .reading import Document, Instruction
from .stage import Stage
from .users import find_owner, needs_tables

#: Characters of a here-document with its variables replaced.
_DOCUMENT = 16 << 20

#: Unpacks an archive for a while, and says which directories it names.
Unpack = Callable[[Instruction, Path], AbstractContextManager[tuple[Path, set[str]]]]


@dataclass(frozen=True)
class Files:
    """A COPY or an ADD.

    Attributes:
        one: the instruction.
        stage: the stage that it is of.
        source: where its files are.
        sources: their paths and patterns, and URLs.
        place: where they go.
        documents: its here-documents, which are files as well.
        options: its options: name → value, variables replaced.
        excluded: the patterns of ``--exclude``.
        fetched: URL → the file that it was.
        unpack: unpacks an archive.
    """

    one: Instruction
    stage: Stage
    source: Source
    sources: Sequence[str]
    place: str
    documents: Sequence[Document]
    options: Mapping[str, str]
    excluded: Sequence[str]
    fetched: Mapping[str, Path]
    unpack: Unpack

    @property
    def link(self) -> bool:
        """Does its layer depend on none below (``--link``)? BuildKit ignores it with --chmod."""
        return self.options.get("link") == "true" and "chmod" not in self.options

    @property
    def history(self) -> str:
        """What the history says."""
        parents = ["--parents"] if self.options.get("parents") == "true" else []
        flags = [
            f"--{name}={self.options[name]}"
            for name in ("chown", "chmod")
            if self.options.get(name)
        ]
        documents = [f"<<{document.name}" for document in self.documents]
        said = [self.one.keyword, *parents, *flags, *self.sources, *documents, self.place]
        return " ".join(said)

    def digests(self) -> list[str]:
        """What its layer depends on: names, kinds, modes and content.

        Raises:
            BadDockerfile: something is not there.
        """
        found = [*self.excluded]
        for path in self.sources:
            if is_url(path):
                file = self.fetched[path]
                found.append(Source(file.parent).digest(file.name))
            elif self.options.get("parents") == "true":
                start, pattern = _pivot(path)
                found.append(pattern)
                found += [self.source.digest(one) for one in self._matching(start or "/")]
            else:
                found += [self.source.digest(one) for one in self._matching(path)]
        return [*found, *(f"{one.name}\n{self._content(one)}" for one in self.documents)]

    def _matching(self, path: str) -> Iterator[str]:
        plain = posixpath.normpath(f"/{path}").lstrip("/")
        for one in self.source.matching(plain):
            if self.source.find(one) is None:
                why = f"{path!r} is not there"
                raise self.one.error(why, "check the name, the context and its .dockerignore")
            yield one

    def work(self, web: Overlay) -> None:
        """Copy it all into a mount.

        Raises:
            BadDockerfile: something is not there, or not understood.
            OSError, ValueError: it cannot be copied.
        """
        place = posixpath.join(self.stage.directory, self.place)
        if self.place in ("", "."):
            place = f"{self.stage.directory}/"
        owner = self._owner(web.merged)
        chmod, made = self._mode()
        for path in self.sources:
            copying = Copying(web.merged, owner, chmod, made, exclude=Patterns(self.excluded))
            if is_url(path):
                file = self.fetched[path]
                unpacks = self.options.get("unpack") == "true"
                self._copy(copying, Source(file.parent, owner=(0, 0)), file.name, place, unpacks)
            elif self.options.get("parents") == "true":
                start, pattern = _pivot(path)
                if not has_wildcards(path) and self.source.find(path) is None:
                    raise self.one.error(f"{path!r} is not there", "check the name")
                copying.include = Patterns([pattern])
                copying.copy(self.source, start, f"{place}/")
            else:
                unpacks = self.one.keyword == "ADD" and self.options.get("unpack") != "false"
                for one in self._matching(path):
                    self._copy(copying, self.source, one, place, unpacks)
        for document in self.documents:
            copying = Copying(web.merged, owner, chmod, made)
            copying.write(os.fsencode(self._content(document)), document.name, place)

    def _copy(self, copying: Copying, source: Source, path: str, place: str, unpacks: bool) -> None:
        found = source.find(path)
        if unpacks and found is not None and is_archive(source.root / found):
            with self.unpack(self.one, source.root / found) as (staged, listed):
                copying.unpack(staged, listed, place)
        else:
            copying.copy(source, path, place)

    def _content(self, document: Document) -> str:
        if not document.expands:
            return document.data
        return words.expand(document.data, self.stage.variables, quotes=False, longest=_DOCUMENT)

    def _owner(self, root: Path) -> tuple[int, int] | None:
        text = self.options.get("chown", "")
        if self.link and text and needs_tables(text):
            why = f"--link lies on nothing that knows {text!r}"
            raise self.one.error(why, "write --chown with numbers, or leave --link out")
        return find_owner(root, text) if text else None

    def _mode(self) -> tuple[Chmod | None, int]:
        """What its files get, and the mode of the directories that are made for them."""
        text = self.options.get("chmod", "")
        if not text:
            return None, 0o755
        try:
            chmod = read_mode(text)
        except ValueError as error:
            raise self.one.error(str(error), "write one like 755 or u=rwX,go=rX") from None
        return chmod, int(text, 8) & 0o777 if re.fullmatch("[0-7]+", text) else 0o755


def _pivot(path: str) -> tuple[str, str]:
    """The directory of ``--parents`` from which on paths are kept, and the pattern in it."""
    start, pivot, pattern = path.partition("/./")
    if not pivot:
        start, pattern = "", path
    return start, posixpath.normpath(f"/{pattern}").lstrip("/")
