"""What can go wrong, each error as one sentence: what happened, why, and what to do now."""

from __future__ import annotations

import contextlib
import errno
import sys
import threading
from collections.abc import Iterator

from .text import clipped, printable

#: Characters of an error: nobody reads more of one.
_LONGEST = 2000


class OverlaylabError(Exception):
    """The base of every error overlaylab raises on purpose.

    Here alone what strangers wrote (names in an image, words of a Dockerfile) is made harmless for
    a terminal: it is on one line, without control characters, and no longer than people read.

    Args:
        sentence: what happened, why, and what to do now.
        output: what a program had printed, if anything; the end of it, if it is long.
    """

    def __init__(self, sentence: str = "", output: str = "") -> None:
        text = clipped(printable(sentence), _LONGEST)
        if output:
            lines = map(printable, output[-_LONGEST:].expandtabs().split("\n"))
            text += "\n".join([" It had printed:", *lines])
        super().__init__(text)


class BadName(OverlaylabError, ValueError):
    """A layer or mount name that cannot be used."""


class BadPath(OverlaylabError, ValueError):
    """A path that does not stay inside its layer, or content that does not fit its path."""


class BadLower(OverlaylabError, ValueError):
    """A lower that is no layer, no directory, or given twice."""


class BadOption(OverlaylabError, ValueError):
    """A mount option that cannot be given to the kernel."""


class LabClosed(OverlaylabError):
    """The lab was closed; its directories are gone."""


class NotMounted(OverlaylabError):
    """The overlay was unmounted, or has no part of that kind."""


class NoSuchOverlay(OverlaylabError, LookupError):
    """No mount of that name in any open lab."""


class NoSuchContainer(OverlaylabError, LookupError):
    """No engine of this machine knows a container of that name."""


class ContainerRefused(OverlaylabError):
    """A container whose layers cannot be found or read from here."""


class BackendUnavailable(OverlaylabError):
    """The backend that was asked for does not work on this machine."""


class ScratchRefused(OverlaylabError):
    """A scratch directory on which labs cannot live.

    Attributes:
        reason: why, as half a sentence.
    """

    reason: str = ""


class ScratchFull(OverlaylabError):
    """The filesystem of the scratch directory has no room left."""


class MountRefused(OverlaylabError):
    """The kernel refused a mount.

    Attributes:
        errno: the kernel's error number, as in :mod:`errno`.
        kernel_message: what the kernel said through the file-descriptor mount
            API, or ``""`` where it said nothing (mount(2) has no such channel).
    """

    def __init__(self, sentence: str, errno: int, kernel_message: str = "") -> None:
        super().__init__(sentence)
        self.errno = errno
        self.kernel_message = kernel_message


class MountBusy(MountRefused):
    """Something still uses the mount."""


class BadImage(OverlaylabError, ValueError):
    """An image, or a file that should hold one, that is damaged, dishonest or not understood."""


class BadLimit(OverlaylabError, ValueError):
    """A limit for an image that is not understood."""


class NotInImage(OverlaylabError, LookupError):
    """A path or a layer that an image does not have."""


class BadDockerfile(OverlaylabError, ValueError):
    """A Dockerfile that is not understood, or one of whose commands failed."""


class ShellFailed(OverlaylabError):
    """A script returned a non-zero status and ``check=True`` was given."""


class ShellTimeout(OverlaylabError):
    """A script ran longer than its time limit and was stopped."""


class ShellLimit(OverlaylabError):
    """A script used up more processes, memory or disk than it may, and was stopped."""


class ShellStopped(KeyboardInterrupt):
    """A script was stopped by whoever had started it; what it had done until then stays."""

    def __init__(self) -> None:
        super().__init__("The script was stopped, and what it had done until then stays.")


class CourseRefused(OverlaylabError):
    """The lessons cannot be copied to a place, or JupyterLab cannot be started on them."""


class NotShown(OverlaylabError, TypeError):
    """Something was to be shown that is no stack, image or history."""


class SystemRefused(OverlaylabError, OSError):
    """The system refused something that nothing here can do without.

    Attributes:
        errno: the kernel's error number, as in :mod:`errno`.
    """

    def __init__(self, sentence: str, errno: int | None = None) -> None:
        super().__init__(sentence)
        self.errno = errno


_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room there"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "close labs or kernels that you do not use"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "choose a place where you may write"),
    errno.EIO: "look after the disk",
    errno.ENOMEM: "end programs that you do not use",
    errno.ENAMETOOLONG: "remove what has such a long path (sh('rm -rf …') can)",
    errno.ENOENT: "begin anew, with another lab",
}
#: As deep as a path can be: PATH_MAX is 4,096 bytes, with two calls for each directory.
_DEEPEST = 10_000


@contextlib.contextmanager
def in_words(what: str, remedy: str = "") -> Iterator[None]:
    """Say it as a sentence if the system refuses something; for public methods, as a decorator.

    Meanwhile trees may be walked that are as deep as a path can be.

    Args:
        what: what was tried, as the beginning of a sentence: ``"The image could not be saved"``.
        remedy: what to do, as its end; if empty, what fits the error, in a lab.

    Raises:
        SystemRefused: the system refused something.
    """
    with _deep_trees():
        try:
            yield
        except OverlaylabError:
            raise
        except RecursionError:
            raise SystemRefused(
                f"{what}, for directories are nested too deep there: remove them, with "
                "sh('rm -rf …')."
            ) from None
        except OSError as error:
            where = f" ({error.filename!s:.200})" if error.filename is not None else ""
            do = remedy or _REMEDIES.get(error.errno or 0, "see '%overlay doctor'")
            raise SystemRefused(
                f"{what}: {error.strerror or error}{where}: {do}.", error.errno
            ) from None


_walking = 0
_limit = 0
_one_at_a_time = threading.Lock()


@contextlib.contextmanager
def _deep_trees() -> Iterator[None]:
    global _walking, _limit
    with _one_at_a_time:
        if not _walking:
            _limit = sys.getrecursionlimit()
            sys.setrecursionlimit(max(_limit, _DEEPEST))
        _walking += 1
    try:
        yield
    finally:
        with _one_at_a_time:
            _walking -= 1
            if not _walking:
                with contextlib.suppress(RecursionError):  # deeper than that already
                    sys.setrecursionlimit(_limit)
