"""The instruction RUN: its command, what it sees besides the image, and what of it stays."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ...lab import Lab
from ...linux.sandbox import Limits, NoRoot, Root, Shown
from ...overlay import Overlay
from ...trees import copy_attributes, remove_tree
from .context import Source, inside
from .copying import Copying, set_owner
from .mounts import Mount, Places, places_of, read_mount
from .reading import Document, Instruction
from .stage import PATH, Stage, digest
from .users import User, find_user

#: Seconds that a command may take.
TIMEOUT = 600
#: What BuildKit calls the machine of a RUN (executor/oci/hosts.go).
_HOSTNAME = "buildkitsandbox"
_HOSTS = f"127.0.0.1\tlocalhost {_HOSTNAME}\n::1\tlocalhost ip6-localhost ip6-loopback\n"
#: Arguments that every RUN sees and no history shows (Dockerfile reference, "Predefined ARGs").
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
#: Where a script of a here-document is seen (dockerfile2llb/convert.go, dispatchRun).
_PIPES = "/dev/pipes"


@dataclass(frozen=True)
class Surroundings:
    """What a RUN needs of its build.

    Attributes:
        lab: where its caches are.
        args: what the caller gave for ARG.
        secrets: what the caller gave for secrets.
        network: may it use this machine's?
        context: the context, for binds.
        mounted: mounts the stage of a name for a while.
    """

    lab: Lab
    args: Mapping[str, str]
    secrets: Mapping[str, bytes]
    network: bool
    context: Callable[[], Source]
    mounted: Callable[[Instruction, str], AbstractContextManager[Overlay]]


@dataclass
class Run:
    """A RUN.

    Attributes:
        one: the instruction.
        stage: the stage that it is of.
        around: its build.
        command: the program and its arguments.
        script: what its here-document is, if it is to be run as a file.
        mounts: its ``--mount``.
        network: it may use this machine's.

    Raises:
        BadDockerfile: it is not understood.
    """

    one: Instruction
    stage: Stage
    around: Surroundings
    command: list[str] = field(init=False)
    script: Document | None = None
    mounts: list[Mount] = field(init=False)
    network: bool = field(init=False)

    def __post_init__(self) -> None:
        one = self.one
        flags = one.flags()
        if flags.get("security", ["sandbox"]) != ["sandbox"]:
            raise one.error("overlaylab takes no fence away", "write it without --security")
        if "device" in flags:
            raise one.error("overlaylab gives no devices", "write it without --device")
        self.network = self.around.network and flags.get("network") != ["none"]
        self.command = self._command()
        try:
            expand = lambda text: self.stage.expand(one, text)  # noqa: E731
            self.mounts = [read_mount(text, expand) for text in flags.get("mount", [])]
        except ValueError as error:
            raise one.error(str(error), "see the Dockerfile reference on RUN --mount") from None
        for mount in self.mounts:
            if mount.kind == "ssh" and mount.is_on("required"):
                raise one.error("overlaylab passes no ssh agent on", "use a secret, or a bind")

    def _command(self) -> list[str]:
        one = self.one
        found = one.json()
        if found is not None:
            if not found:
                raise one.error("its list is empty", "say what to run")
            return found
        if not one.documents:
            return [*self.stage.shell, one.value]
        document = one.document(one.value)
        if document is None:
            inner = "".join(f"\n{each.content}{each.name}" for each in one.documents)
            return [*self.stage.shell, one.value + inner]
        if not document.data.startswith("#!"):
            return [*self.stage.shell, document.data]
        self.script = document
        return [*self.stage.shell, f"{_PIPES}/{document.name}"]

    @property
    def environment(self) -> dict[str, str]:
        """Its variables, but for HOME, which depends on the user, and for the caller's proxies."""
        return {"PATH": PATH, **self.stage.variables}

    @property
    def _proxies(self) -> dict[str, str]:
        args = self.around.args.items()
        given = {name.lower(): text for name, text in args if name.lower() in _PROXIES}
        return {**given, **{name.upper(): text for name, text in given.items()}}

    def digests(self) -> list[str]:
        """What its layer depends on, besides the layers below."""
        found = [*self.command, *(f"{name}={text}" for name, text in self.environment.items())]
        found.append(f"network {self.network}")
        if self.script is not None:
            found.append(self.script.data)
        for mount in self.mounts:
            found += [mount.kind, *(f"{key}={text}" for key, text in mount.settings.items())]
            if mount.kind == "bind" and not mount.get("from"):
                found.append(self._digest(mount))
        return found

    def _digest(self, mount: Mount) -> str:
        source = self.around.context()
        path = source.find(mount.get("source"))
        if path is None:
            why = f"{mount.get('source')!r} is not there"
            raise self.one.error(why, "check the name, the context and its .dockerignore")
        return source.digest(path)

    def work(self, web: Overlay) -> None:
        """Run it on a mount.

        Raises:
            BadDockerfile: it failed.
            OSError, ValueError: it cannot be run.
        """
        with ExitStack() as stack:
            places = stack.enter_context(places_of(web.merged))
            try:
                user = find_user(web.merged, self.stage.user)
            except ValueError as error:
                raise self.one.error(str(error), "write USER with a number") from None
            for directory in (self.stage.directory, "/dev", "/proc", "/sys"):  # they stay
                Copying(web.merged).make(directory)
            environment = {"HOME": user.home, **self.environment, **self._proxies}
            shown = [*self._files(places)]
            if os.path.isdir("/sys"):
                shown.append(Shown(places.make("/sys"), "/sys", read_only=True))
            mounts: list[Shown] = []
            for mount in self.mounts:
                mounts += self._shown(mount, places, stack, environment)
            shown += sorted(mounts, key=lambda one: one.target)  # within another: after it
            self._execute(web, user, environment, shown)

    def _execute(
        self, web: Overlay, user: User, environment: dict[str, str], shown: list[Shown]
    ) -> None:
        root = Root(
            self.stage.directory,
            environment,
            self.command,
            f"{user.uid}:{user.gid}",
            (user.gid, *user.groups),
            self.network,
            _HOSTNAME,
            shown,
        )
        try:
            done = web.run("", Limits(TIMEOUT), root)
        except NoRoot as error:
            why = f"it cannot be run here ({error.strerror})"
            raise self.one.error(why, "install PRoot (package proot)") from None
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            if error.filename is None:
                raise
            why = f"it cannot be run ({self.command[0]}: {error.strerror})"
            raise self.one.error(why, "check that the image has it, as a program") from None
        if done.reached:
            raise self.one.error(f"it was stopped at {done.reached}", "give it less to do")
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split()) or "it said nothing"
            why = f"it ended with status {done.returncode} ({said})"
            if not done.proc:
                why += ", and had no /proc, for none may be mounted here"
            raise self.one.error(why, "correct it")

    def _files(self, places: Places) -> list[Shown]:
        """What every RUN has in /etc, and a script that was in the Dockerfile."""
        resolver = b""
        if self.network and os.path.isfile("/etc/resolv.conf"):
            resolver = Path("/etc/resolv.conf").read_bytes()
        texts = {"/etc/hosts": _HOSTS.encode(), "/etc/resolv.conf": resolver}
        found = [
            Shown(places.make(path, file=True), data=text, read_only=True, mode=0o644)
            for path, text in texts.items()
        ]
        if self.script is not None:
            target = places.make(f"{_PIPES}/{self.script.name}", file=True)
            data = self.script.data.encode()
            found.append(Shown(target, data=data, read_only=True, mode=0o755))
        return found

    def _shown(
        self, mount: Mount, places: Places, stack: ExitStack, environment: dict[str, str]
    ) -> list[Shown]:
        if mount.kind == "ssh":  # as if the client had no agent
            socket = mount.get("target") or "/run/buildkit/ssh_agent.0"
            environment.setdefault("SSH_AUTH_SOCK", socket)
            return []
        if mount.kind == "secret":
            return self._secret(mount, places, environment)
        path = posixpath.normpath(posixpath.join(self.stage.directory, mount.get("target")))
        if path == "/":
            raise self.one.error("a mount's target is the root", "give it target=")
        if mount.kind == "tmpfs":
            target = places.make(path)
            return [Shown(target, read_only=mount.read_only, size=mount.size)]
        if mount.kind == "cache":
            source = self._cache(mount, path)
        elif mount.get("from"):
            web = stack.enter_context(self.around.mounted(self.one, mount.get("from")))
            source = inside(web.merged, mount.get("source"))
        else:
            source = self._copied(mount, stack)
        if not os.path.lexists(source):
            why = f"{mount.get('source')!r} is not in {mount.get('from')}"
            raise self.one.error(why, "check the name")
        target = places.make(path, file=not source.is_dir())
        return [Shown(target, str(source), read_only=mount.read_only)]

    def _secret(self, mount: Mount, places: Places, environment: dict[str, str]) -> list[Shown]:
        target = mount.get("target")
        name = mount.get("source") or mount.get("id") or posixpath.basename(target)
        if not name:
            raise self.one.error("a secret has neither id nor target", "write id=name")
        data = self.around.secrets.get(name)
        if data is None:
            if mount.is_on("required"):
                raise self.one.error(
                    f"there is no secret {name!r}", "give it with secrets={name: bytes}"
                )
            return []
        if mount.get("env"):
            environment[mount.get("env")] = data.decode(errors="surrogateescape")
            if not target:
                return []
        path = target or f"/run/secrets/{posixpath.basename(name)}"
        path = posixpath.join(self.stage.directory, path)
        place = places.make(path, file=True)
        return [Shown(place, data=data, read_only=True, mode=mount.mode(0o400), owner=mount.owner)]

    def _cache(self, mount: Mount, path: str) -> Path:
        """The directory of a cache, which the lab keeps for the next RUN that names it."""
        place = self.around.lab.path / "caches" / digest(mount.get("id") or path)[:32]
        if place.is_dir():
            return place
        place.mkdir(parents=True)
        if mount.get("from"):
            with self.around.mounted(self.one, mount.get("from")) as web:
                Copying(place).copy(Source(web.merged), mount.get("source"), "/")
                copy_attributes(str(inside(web.merged, mount.get("source"))), str(place))
        if {"uid", "gid", "mode"} & set(mount.settings) or not mount.get("from"):
            set_owner(place, mount.owner)
            place.chmod(mount.mode(0o755))
        return place

    def _copied(self, mount: Mount, stack: ExitStack) -> Path:
        """A copy of what a bind shows of the context: what is written there is lost."""
        lab = self.around.lab
        place = lab.path / f"bind-{len(os.listdir(lab.path))}"
        place.mkdir()
        stack.callback(_remove, place)
        source = self.around.context()
        found = source.find(mount.get("source"))
        if found is None:
            raise self.one.error(f"{mount.get('source')!r} is not there", "check the name")
        name = "d" if (source.root / found).is_dir() else "f"
        Copying(place).copy(source, found, f"/{name}")
        return place / name


def _remove(place: Path) -> None:
    remove_tree(str(place))
