"""Whose rights the tests run with, once conftest.py has entered its namespace, and what on."""

from __future__ import annotations

import os
import platform
import re

import pytest

from overlaylab.linux import users

#: Root of the machine, not of a user namespace.
REAL_ROOT = os.geteuid() == 0 and not users.in_user_namespace()

#: The prefix of overlayfs's own xattrs.
MARKS = "trusted.overlay." if REAL_ROOT else "user.overlay."

#: The version of Linux: ``(6, 12)``.
LINUX = tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2])


def since(major: int, minor: int, what: str) -> pytest.MarkDecorator:
    """A mark for a test of something that older kernels do not have."""
    older = (major, minor) > LINUX
    return pytest.mark.skipif(older, reason=f"{what} came with Linux {major}.{minor}")


#: In a user namespace marks are xattrs of users, and a tmpfs takes none before.
marks_on_a_tmpfs = pytest.mark.skipif(
    not REAL_ROOT and LINUX < (6, 6), reason="a user's xattrs on a tmpfs came with Linux 6.6"
)
