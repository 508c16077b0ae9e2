"""A container started by hand, and the recorded virtual machine it is compared with."""

from __future__ import annotations

import errno
import os
import platform
import socket
import threading

import pytest

from overlaylab import Lab
from overlaylab.course import container, machine
from overlaylab.errors import OverlaylabError
from overlaylab.image.build import base_image
from overlaylab.layer import Layer

from ..helpers import eventually, mount_table


@pytest.fixture
def base(kernel_lab: Lab) -> Layer:
    base_image(kernel_lab, "base")
    return kernel_lab.layers["base"]


def test_a_container_is_alone_and_this_process_stays_where_it_is(
    kernel_lab: Lab, base: Layer
) -> None:
    here, name, mounts = os.getcwd(), socket.gethostname(), mount_table()
    script = "echo $$ $(uname -n); echo note > /note; ls -d /"
    with container.start_container(kernel_lab, [base], script, name="tiny") as box:
        assert box.output == "1 tiny\n/"
        assert os.listdir(box.upper) == ["note"]
        assert [row[1] for row in box.namespaces().rows[:5]] == ["its own"] * 5
        assert 0 < box.milliseconds == sum(one.milliseconds for one in box.preparations)
        assert 0 < box.memory() < 64 << 20
    assert (os.getcwd(), socket.gethostname(), mount_table()) == (here, name, mounts)


def test_where_the_root_is_the_kernels_first_it_is_covered(
    kernel_lab: Lab, base: Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an initramfs pivot_root(2) is refused, which alone is simulated here."""

    def refuse(*_: str) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    before = mount_table()
    monkeypatch.setattr(container.syscalls, "pivot_root", refuse)
    script = f"cd /; echo $$; ls -d ..; ls -d {kernel_lab.path} 2>&-; echo note > /note"
    with container.start_container(kernel_lab, [base], script) as box:
        assert box.output == "1\n.."
        assert os.listdir(box.upper) == ["note"]
        assert box.preparations[4].calls == "chdir, mount, chroot"
    assert mount_table() == before


def test_the_fastest_of_some_starts_counts_and_none_is_left(
    kernel_lab: Lab, base: Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, took = threading.active_count(), iter([9.0, 3.0, 7.0])
    monkeypatch.setattr(container.Container, "milliseconds", property(lambda _: next(took)))
    assert container.fastest_start(kernel_lab, [base], 3) == 3.0
    assert next(took, None) is None
    assert eventually(lambda: threading.active_count() <= threads)


def test_a_container_that_cannot_start_leaves_no_thread(kernel_lab: Lab, base: Layer) -> None:
    threads = threading.active_count()
    empty = kernel_lab.layer("empty", {"etc/motd": "no shell here"})
    with pytest.raises(OverlaylabError, match="No such file"):
        container.start_container(kernel_lab, [empty], "echo hello")
    with pytest.raises(OverlaylabError, match="printed nothing"):
        container.start_container(kernel_lab, [base], "exit 3")
    assert threading.active_count() <= threads


def test_the_recorded_boot_says_where_it_comes_from() -> None:
    boot = machine.recorded_boot()
    assert 0 < boot.guest_memory < boot.memory
    assert all((boot.seconds, boot.machine, boot.date, boot.command, boot.made_by))
    assert boot.date in repr(boot)


def test_what_is_missing_for_a_virtual_machine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("OVERLAYLAB_VMLINUZ", "/no/such/kernel")
    with pytest.raises(OverlaylabError, match="a kernel that may be read"):
        machine.boot_virtual_machine()


def test_no_virtual_machine_is_booted_on_another_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(OverlaylabError, match="this is aarch64: recorded_boot"):
        machine.boot_virtual_machine()
