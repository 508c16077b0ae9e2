"""ADD of a URL: only for who asked for the network, and bounded."""

from __future__ import annotations

import hashlib
import posixpath
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

#: Bytes of a file, seconds until an answer, and seconds for all of it.
_LARGEST, _ANSWER, _SECONDS = 4 << 30, 30, 600
_ALGORITHMS = ("sha256", "sha384", "sha512")


def is_url(source: str) -> bool:
    """Is it something of the network?"""
    return bool(re.match(r"(?i)https?://", source)) or is_repository(source)


def is_repository(source: str) -> bool:
    """Is it a git repository (frontend/dockerfile/dfgitutil)?"""
    plain = source.partition("#")[0].partition("?")[0]
    return bool(
        re.match(r"(?i)(?:git|ssh)://|git@[\w.-]+:", source)
        or (re.match(r"(?i)https?://", source) and plain.endswith(".git"))
        or source.startswith("github.com/")
    )


def fetch(url: str, directory: Path, checksum: str) -> Path:
    """Get a file into `directory`, with the mode that BuildKit gives it (0600).

    Raises:
        ValueError: it cannot be had, or is not what `checksum` says.
    """
    algorithm, _, wanted = checksum.partition(":")
    if checksum and (algorithm not in _ALGORITHMS or not re.fullmatch(r"[0-9a-f]+", wanted)):
        raise ValueError(f"--checksum={checksum} is no digest like sha256:…")
    name = posixpath.basename(urllib.parse.urlsplit(url).path)
    name = urllib.parse.unquote(name).replace("/", "_").replace("\0", "_")
    place = directory / ("__unnamed__" if name in ("", ".", "..") else name)
    hasher = hashlib.new(algorithm or "sha256")
    end, size = time.monotonic() + _SECONDS, 0
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER) as answer, place.open("wb") as file:
            while chunk := answer.read(1 << 20):
                size += len(chunk)
                if size > _LARGEST or time.monotonic() > end:
                    raise ValueError(f"{url} is too large or too slow")
                hasher.update(chunk)
                file.write(chunk)
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or error
        raise ValueError(f"{url} cannot be had ({reason})") from None
    if checksum and hasher.hexdigest() != wanted:
        raise ValueError(f"{url} is not what --checksum says ({algorithm}:{hasher.hexdigest()})")
    place.chmod(0o600)
    return place
