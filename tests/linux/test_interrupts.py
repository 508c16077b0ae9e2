"""The stop button, pressed at any moment."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading

import pytest

from overlaylab import Lab
from overlaylab.linux import interrupts

from ..helpers import interrupted_after, mount_table


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_waits_for_the_end_of_the_block():
    done = []

    def block() -> None:
        with interrupts.held() as interrupted:
            assert not interrupted()
            press()
            assert interrupted()
            done.append("the rest")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done == ["the rest"]


def test_it_waits_for_the_end_of_the_outer_block():
    done = []

    def blocks() -> None:
        with interrupts.held() as outer:
            with interrupts.held() as inner:
                press()
                assert inner()
            assert outer()
            done.append("the rest")

    with pytest.raises(KeyboardInterrupt):
        blocks()
    assert done == ["the rest"]


def test_what_the_block_raises_is_told_too():
    def block() -> None:
        with interrupts.held():
            press()
            raise ValueError

    with pytest.raises(KeyboardInterrupt) as caught:
        block()
    assert isinstance(caught.value.__context__, ValueError)


def test_afterwards_an_interrupt_comes_at_once():
    with interrupts.held():
        pass
    with pytest.raises(KeyboardInterrupt):
        press()


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_process_that_ignores_interrupts_goes_on_doing_so(handler: signal.Handlers):
    before = signal.signal(signal.SIGINT, handler)
    try:
        with interrupts.held():
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_leaves_interrupts_to_the_main_one():
    asked: list[bool] = []

    def hold() -> None:
        with interrupts.held() as interrupted:
            asked.append(interrupted())

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert asked == [False]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("step", range(12))
def test_a_stop_leaves_no_mount_that_the_lab_does_not_know(lab: Lab, step: int):
    base = lab.layer("base", {"file": ""})
    before = mount_table()

    def mount_for_ever() -> None:
        for number in itertools.count():
            lab.mount(f"web{number}", lower=[base]).unmount()

    with pytest.raises(KeyboardInterrupt), interrupted_after(0.0001 * 1.7**step):
        mount_for_ever()
    for web in lab.mounts.values():
        web.unmount()
    assert mount_table() == before
    lab.mount(f"web{len(lab.mounts)}", lower=[base])


@pytest.mark.parametrize("step", range(8))
def test_a_stop_while_a_lab_is_closed_leaves_nothing_of_it(backend: str, step: int):
    lab = Lab("test", backend=backend)
    lab.mount("web", lower=[lab.layer("base", {f"d{n}/file": "" for n in range(50)})])
    with contextlib.suppress(KeyboardInterrupt), interrupted_after(0.0001 * 1.7**step):
        lab.close()
    lab.close()
    assert not lab.path.exists()
