"""What the workdir is for, as lesson 13 shows it."""

from __future__ import annotations

import errno
import os

import pytest

from overlaylab import Lab
from overlaylab.course import workdir
from overlaylab.errors import ShellFailed
from overlaylab.linux.mount import MountError

from ..helpers import mount_table


def test_a_mount_without_a_workdir_is_refused_and_leaves_nothing(kernel_lab: Lab) -> None:
    base = kernel_lab.layer("base", {"file": "x"})
    before = mount_table(), os.listdir(kernel_lab.path)
    with pytest.raises(MountError) as refused:
        workdir.mount_without(kernel_lab, [base])
    assert refused.value.errno == errno.EINVAL
    assert (mount_table(), os.listdir(kernel_lab.path)) == before


def test_a_whiteout_passes_through_the_workdir_and_a_new_file_does_not(kernel_lab: Lab) -> None:
    web = kernel_lab.mount("web", lower=[kernel_lab.layer("base", {"file": "x"})])
    assert repr(workdir.watch(web, "rm file")).split().count("yes") == 2
    assert repr(workdir.watch(web, "echo x > other")).split().count("no") == 2
    with pytest.raises(ShellFailed):
        workdir.watch(web, "rm nothing")
