"""The stop button, pressed at any moment."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
import time
from typing import cast

import pytest

from overlaylab import Lab
from overlaylab.backends import Mount
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


def test_a_permitted_part_of_the_block_can_be_left_at_once_and_the_rest_cannot():
    done = []

    def block() -> None:
        with interrupts.held():
            try:
                interrupts.permitted(press)
            except KeyboardInterrupt:
                press()
                done.append("the clean-up")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done == ["the clean-up"]


def test_a_block_within_a_permitted_part_holds_again():
    done = []

    def inner() -> None:
        with interrupts.held():
            press()
            done.append("inner")
        done.append("after it")

    def block() -> None:
        with interrupts.held():
            try:
                interrupts.permitted(inner)
            finally:
                done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done == ["inner", "outer"]


@pytest.mark.parametrize("step", range(100))
def test_no_moment_of_the_holding_itself_loses_an_interrupt_or_the_handler(step: int):
    """The moments are a microsecond apart; the loop ends only if the interrupt comes."""

    def work() -> None:
        with interrupts.held():
            pass

    def for_ever() -> None:
        while True:
            with interrupts.held():
                interrupts.permitted(work)

    with pytest.raises(KeyboardInterrupt), interrupted_after(0.0001 + 1e-6 * step):
        for_ever()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert interrupts._waiting == []


def test_what_came_before_a_permitted_part_keeps_it_from_beginning():
    def block() -> None:
        with interrupts.held():
            press()
            interrupts.permitted(lambda: pytest.fail("it began"))

    with pytest.raises(KeyboardInterrupt):
        block()


def test_a_permitted_part_returns_what_it_makes():
    assert interrupts.permitted(lambda: 1) == 1
    with interrupts.held() as interrupted:
        assert interrupts.permitted(lambda: 2) == 2
        assert not interrupted()


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
    assert {one.name for one in lab.path.glob("mounts/*")} == {*lab.mounts}
    lab.mount(f"web{len(lab.mounts)}", lower=[base])


@pytest.mark.parametrize("step", range(12))
def test_a_stop_leaves_no_layer_that_the_lab_does_not_know(lab: Lab, step: int):
    content = {f"d{n}/file": "" for n in range(50)}

    def make_for_ever() -> None:
        for number in itertools.count():
            lab.layer(f"base{number}", content)
            lab.remove_layer(f"base{number}")

    with pytest.raises(KeyboardInterrupt), interrupted_after(0.0001 * 1.7**step):
        make_for_ever()
    assert {one.name for one in lab.path.glob("layers/*")} == {*lab.layers}


@pytest.mark.parametrize("step", range(8))
def test_what_was_stopped_while_it_was_mounted_again_can_be_mounted_again(lab: Lab, step: int):
    base = lab.layer("base", {f"d{n}/file": "" for n in range(50)})
    web = lab.mount("web", lower=[base])
    with contextlib.suppress(KeyboardInterrupt), interrupted_after(0.0001 * 1.7**step):
        lab.mount_again(web)
    web = lab.mount_again(lab.mounts["web"])
    assert len(os.listdir(web.merged)) == 50


def test_a_stop_while_a_forgotten_lab_is_removed_comes_when_that_is_done(backend: str):
    class Pressing:
        def unmount(self, *, force: bool) -> None:
            press()

    paths = []

    def forget() -> None:
        lab = Lab("test", backend=backend)
        lab._handles.append(cast(Mount, Pressing()))
        paths.append(lab.path)
        del lab
        time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        forget()
    assert not paths[0].exists()


@pytest.mark.parametrize("step", range(8))
def test_a_stop_while_a_lab_is_closed_leaves_nothing_of_it(backend: str, step: int):
    lab = Lab("test", backend=backend)
    lab.mount("web", lower=[lab.layer("base", {f"d{n}/file": "" for n in range(50)})])
    with contextlib.suppress(KeyboardInterrupt), interrupted_after(0.0001 * 1.7**step):
        lab.close()
    lab.close()
    assert not lab.path.exists()
