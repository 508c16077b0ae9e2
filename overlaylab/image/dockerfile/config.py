"""Instructions that change an image's config alone, and how its history calls them.

The words are BuildKit's (moby/buildkit, frontend/dockerfile/dockerfile2llb/convert.go), for what
people see of an image is its history.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Sequence

from ..blob import Json
from . import words
from .reading import Instruction
from .stage import Stage

#: What BuildKit knows of a config (moby/docker-image-spec); the classic builder wrote more.
_FIELDS = (
    *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels"),
    *("StopSignal", "ArgsEscaped", "Healthcheck", "OnBuild", "Shell"),
)
#: What no ONBUILD may have.
NO_TRIGGERS = ("FROM", "MAINTAINER", "ONBUILD")
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{0,9})?)(ns|us|µs|ms|s|m|h)")
_NANOSECONDS = {
    **{"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6},
    **{"s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9},
}
_ESCAPES = {
    **{'"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f"},
    **{"\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"},
}


def cleaned(config: Json) -> Json:
    """The config of a base as BuildKit goes on with it: what is empty is not there."""
    return {name: config[name] for name in _FIELDS if config.get(name)}


def env(stage: Stage, one: Instruction) -> str:
    """ENV: values see the variables as they were before the line."""
    pairs = _pairs(stage, one)
    for name, value in pairs:
        stage.set_env(name, value)
    return " ".join(["ENV", *(f"{name}={value}" for name, value in pairs)])


def label(stage: Stage, one: Instruction) -> str:
    """LABEL."""
    pairs = _pairs(stage, one)
    stage.config["Labels"] = {**stage.config.get("Labels", {}), **dict(pairs)}
    return " ".join(["LABEL", *(f"{name}={value}" for name, value in pairs)])


def _pairs(stage: Stage, one: Instruction) -> list[tuple[str, str]]:
    return [(stage.expand(one, name), stage.expand(one, value)) for name, value in named(one)]


def named(one: Instruction) -> list[tuple[str, str]]:
    """What an ENV or a LABEL says, as it is written.

    Raises:
        BadDockerfile: a name or a value is missing.
    """
    found = one.quoted_words()
    if found and "=" not in found[0]:  # the old form: ENV name the rest of the line
        pairs = [tuple(re.split(r"[\t\v\f\r ]+", one.value, maxsplit=1))]
        if len(pairs[0]) < 2:
            raise one.error("a value is missing", f"write {one.keyword} name=value")
    else:
        if bad := next((word for word in found if "=" not in word), ""):
            raise one.error(f"{bad!r} has no value", "write name=value, with quotes for blanks")
        pairs = [tuple(word.split("=", 1)) for word in found]
    if not pairs or not all(pair[0] for pair in pairs):
        raise one.error("a name is missing", f"write {one.keyword} name=value")
    return [(name, value) for name, value in pairs]


def user(stage: Stage, one: Instruction) -> str:
    """USER."""
    stage.config["User"] = stage.expand(one, one.value)
    return f"USER {stage.config['User']}"


def cmd(stage: Stage, one: Instruction) -> str:
    """CMD."""
    command = _command(stage, one)
    stage.config |= {"Cmd": command, "ArgsEscaped": True}
    stage.has_command = True
    return f"CMD {quoted(command)}"


def entrypoint(stage: Stage, one: Instruction) -> str:
    """ENTRYPOINT, which a CMD of the base does not outlive."""
    command = _command(stage, one)
    stage.config["Entrypoint"] = command
    if not stage.has_command:
        stage.config.pop("Cmd", None)
    return f"ENTRYPOINT {quoted(command)}"


def _command(stage: Stage, one: Instruction) -> list[str]:
    found = one.json()
    return [*stage.shell, one.value] if found is None else found


def shell(stage: Stage, one: Instruction) -> str:
    """SHELL."""
    found = one.json()
    if not found:
        raise one.error("SHELL is a JSON list", 'write it like ["/bin/sh", "-c"]')
    stage.config["Shell"] = found
    return f"SHELL {listed(found)}"


def expose(stage: Stage, one: Instruction) -> str:
    """EXPOSE: numbers and ranges, with tcp, udp or sctp."""
    try:
        found = [
            port for word in sorted(one.value.split())
            for port in words.split(word, stage.variables, one.escape)
        ]  # fmt: skip
    except ValueError as error:
        raise one.error(str(error), "correct it") from None
    ports = [port for word in found for port in _ports(one, word)]
    stage.config["ExposedPorts"] = {
        **stage.config.get("ExposedPorts", {}),
        **{port: {} for port in ports},
    }
    return f"EXPOSE {listed(ports)}"


def _ports(one: Instruction, word: str) -> list[str]:
    match = re.fullmatch(
        r"(?:.*:)?(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp)?)?", word, re.IGNORECASE
    )
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if match is None or not first <= last <= 65535:
        raise one.error(f"{word!r} is no port", "write a number, like 80 or 53/udp")
    protocol = (match[3] or "tcp").lower()
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def volume(stage: Stage, one: Instruction) -> str:
    """VOLUME. What a RUN writes there stays in the image; the classic builder dropped it."""
    paths = [stage.expand(one, path.strip()) for path in one.words()]
    if not paths or not all(paths):
        raise one.error("a path is missing", "write VOLUME /place")
    stage.config["Volumes"] = {**stage.config.get("Volumes", {}), **{path: {} for path in paths}}
    return f"VOLUME {listed(paths)}"


def stopsignal(stage: Stage, one: Instruction) -> str:
    """STOPSIGNAL: a number or a name."""
    found = stage.expand(one, one.value)
    name = found.upper().removeprefix("SIG")
    known = {one.name.removeprefix("SIG") for one in signal.Signals}
    real_time = re.fullmatch(r"RTMIN(\+\d{1,2})?|RTMAX(-\d{1,2})?", name)
    if (
        not (known and name in known)
        and not real_time
        and not re.fullmatch(r"-?0*[1-9]\d{0,8}", found)
    ):
        raise one.error(f"{found!r} is no signal", "write one like SIGTERM or 15")
    stage.config["StopSignal"] = found
    return f"STOPSIGNAL {found}"


def maintainer(stage: Stage, one: Instruction) -> str:
    """MAINTAINER, which is the image's author."""
    stage.rest["author"] = one.value
    return f"MAINTAINER {one.value}"


def healthcheck(stage: Stage, one: Instruction) -> str:
    """HEALTHCHECK CMD …, or NONE."""
    kind, *rest = one.value.split(maxsplit=1) or [""]
    flags = one.flags()
    if kind.upper() == "NONE":
        if rest:
            raise one.error("HEALTHCHECK NONE has nothing after it", "leave that out")
        stage.config["Healthcheck"] = {"Test": ["NONE"]}
        return _healthcheck_text(["NONE"], [0, 0, 0, 0], 0)
    script = rest[0] if rest else ""
    command = Instruction(one.line, one.keyword, script, (), script, escape=one.escape).json()
    if kind.upper() != "CMD" or not script or command == []:
        raise one.error("a command is missing", "write HEALTHCHECK CMD command, or NONE")
    test = ["CMD-SHELL", script] if command is None else ["CMD", *command]
    names = ("interval", "timeout", "start-period", "start-interval")
    times = [_duration(one, name, flags.get(name, [""])[0]) for name in names]
    retries = flags.get("retries", ["0"])[0]
    if not re.fullmatch(r"\d{1,9}", retries):
        raise one.error(f"--retries={retries} is no number", "write one like 3")
    keys = ("Interval", "Timeout", "StartPeriod", "StartInterval")
    settings = {key: time for key, time in zip(keys, times, strict=True) if time}
    counted = {"Retries": int(retries)} if int(retries) else {}
    stage.config["Healthcheck"] = {"Test": test, **settings, **counted}
    return _healthcheck_text(test, times, int(retries))


def _healthcheck_text(test: Sequence[str], times: Sequence[int], retries: int) -> str:
    """As Go prints the struct; a number comes out as the character that it is of."""
    shown = " ".join(f'"{_duration_text(time)}"' for time in times)
    character = chr(retries) if retries < 0xD800 else "\ufffd"
    count = "\\'" if character == "'" else _go_quoted(character).replace('\\"', '"')
    return f"HEALTHCHECK &{{{quoted(test)} {shown} '{count}'}}"


def _duration(one: Instruction, name: str, text: str) -> int:
    """Nanoseconds of a time like ``1m30s`` (Go, time.ParseDuration)."""
    if text in ("", "0"):
        return 0
    if not re.fullmatch(f"(?:{_DURATION.pattern})+", text):
        raise one.error(f"--{name}={text} is no time", "write one like 30s or 1m30s")
    found = sum(int(float(n) * _NANOSECONDS[unit]) for n, unit in _DURATION.findall(text))
    if 0 < found < 10**6:
        raise one.error(f"--{name}={text} is too short", "write 1ms or more")
    return found


def _duration_text(time: int) -> str:
    if time == 0:
        return "0s"
    if time < 10**9:
        return f"{time / 10**6:.6f}".rstrip("0").rstrip(".") + "ms"
    hours, rest = divmod(time, 3600 * 10**9)
    minutes, rest = divmod(rest, 60 * 10**9)
    seconds = f"{rest / 10**9:.9f}".rstrip("0").rstrip(".") + "s"
    return f"{hours}h" * bool(hours) + f"{minutes}m" * bool(hours or minutes) + seconds


def onbuild(stage: Stage, one: Instruction) -> str:
    """ONBUILD, which the history does not have; what it has is read only when it is carried out."""
    if one.value.split(maxsplit=1)[0].upper() in NO_TRIGGERS:
        raise one.error("ONBUILD has one other instruction, and no FROM", "write ONBUILD RUN …")
    documents = "".join(f"\n{each.content}{each.name}" for each in one.documents)
    stage.config["OnBuild"] = [*stage.config.get("OnBuild", []), one.source + documents]
    return ""


def quoted(texts: Sequence[str]) -> str:
    """A list as Go prints it with ``%q``."""
    return "[" + " ".join(f'"{_go_quoted(text)}"' for text in texts) + "]"


def listed(texts: Sequence[str]) -> str:
    """A list as Go prints it with ``%v``."""
    return "[" + " ".join(texts) + "]"


def _go_quoted(text: str) -> str:
    return "".join(_ESCAPES.get(c) or (c if c.isprintable() else _coded(c)) for c in text)


def _coded(character: str) -> str:
    number = ord(character)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


#: Keyword → what it does; it returns what the history says, ``""`` for nothing.
INSTRUCTIONS: dict[str, Callable[[Stage, Instruction], str]] = {
    **{"ENV": env, "LABEL": label, "USER": user, "CMD": cmd, "ENTRYPOINT": entrypoint},
    **{"SHELL": shell, "EXPOSE": expose, "VOLUME": volume, "STOPSIGNAL": stopsignal},
    **{"MAINTAINER": maintainer, "HEALTHCHECK": healthcheck, "ONBUILD": onbuild},
}
