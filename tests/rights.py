"""Whose rights the tests run with, once conftest.py has entered its namespace."""

from __future__ import annotations

import os

from overlaylab.linux import namespaces

#: Root of the machine, not of a user namespace.
REAL_ROOT = os.geteuid() == 0 and not namespaces.in_user_namespace()

#: The prefix of overlayfs's own xattrs.
MARKS = "trusted.overlay." if REAL_ROOT else "user.overlay."
