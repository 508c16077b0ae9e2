"""A virtual machine as lesson 09 has it, really booted: needs QEMU, busybox and a kernel."""

from __future__ import annotations

import pytest

from overlaylab.course.demos.machine import Booted, boot_virtual_machine
from overlaylab.errors import OverlaylabError

from ..helpers import children, lacking


def booted(timeout: float = 60) -> Booted:
    try:
        return boot_virtual_machine(timeout=timeout)
    except OverlaylabError as error:
        if "can be booted" in str(error):
            lacking("a virtual machine", str(error))
        raise


def test_it_boots_up_to_its_first_program_and_is_ended() -> None:
    before = children()
    boot = booted()
    assert boot.seconds > 0
    assert 0 < boot.guest_memory < min(boot.memory, 256 << 20)
    assert children() == before


def test_one_that_takes_too_long_is_given_up_and_ended() -> None:
    before = children()
    with pytest.raises(OverlaylabError, match="time is up"):
        booted(timeout=0.1)
    assert children() == before
