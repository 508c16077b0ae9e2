"""What can go wrong, each error as one sentence: what happened, why, and what to do now."""

from __future__ import annotations


class OverlaylabError(Exception):
    """The base of every error overlaylab raises on purpose."""


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


class BadDockerfile(OverlaylabError, ValueError):
    """A Dockerfile that is not understood, or one of whose commands failed."""


class ShellFailed(OverlaylabError):
    """A script returned a non-zero status and ``check=True`` was given."""


class ShellTimeout(OverlaylabError):
    """A script ran longer than its time limit and was stopped."""


class CourseRefused(OverlaylabError):
    """The lessons cannot be copied to a place, or JupyterLab cannot be started on them."""


class NotShown(OverlaylabError, TypeError):
    """Something was to be shown that is no stack, image or history."""
