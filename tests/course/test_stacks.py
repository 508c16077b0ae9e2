"""Stacks that nobody should make, and what the kernel has to say about them."""

from __future__ import annotations

import errno
import os
import re
import xml.etree.ElementTree as ElementTree

import pytest

from overlaylab import Lab
from overlaylab.course import stacks
from overlaylab.draw.curve import Curve
from overlaylab.linux.mount import MountError

from ..helpers import mount_table


def test_an_upper_is_refused_on_an_overlay_alone_and_nothing_is_left(kernel_lab: Lab) -> None:
    base = kernel_lab.layer("base", {"file": "x"})
    outer = kernel_lab.mount("outer", lower=[base])
    with pytest.raises(MountError) as refused:
        stacks.upper_in(outer.merged, base)
    assert refused.value.errno == errno.EINVAL
    stacks.upper_in(kernel_lab.tmp, base)
    assert not outer.changes()
    assert os.listdir(kernel_lab.tmp) == []


def test_the_kernels_words_have_no_path() -> None:
    def refuse() -> None:
        raise MountError(errno.EINVAL, "fsconfig(2)", "overlay: filesystem on /a/b/upper is bad")

    words = "EINVAL: overlay: filesystem on …/upper is bad"
    assert stacks.kernel_words(refuse) == words
    assert stacks.kernel_words(lambda: None) == "not refused"


def test_a_shared_upper_is_unmounted_again(kernel_lab: Lab) -> None:
    base = kernel_lab.layer("base", {"file": "x"})
    before = mount_table()
    with stacks.SharedUpper(kernel_lab, [base]) as pair:
        (pair.one / "note").write_text("hello")
        assert (pair.two / "note").read_text() == "hello"
        no_log = "What the kernel wrote .* cannot be read here: .*"
        assert re.fullmatch(f"overlayfs: upperdir is in-use .*|{no_log}", pair.warning)
    with pytest.raises(OSError, match="busy"):
        stacks.SharedUpper(kernel_lab, [base], index=True)
    assert mount_table() == before


def test_options_longer_than_a_page_lose_their_end(kernel_lab: Lab) -> None:
    named = stacks.NamedLayers(kernel_lab, 128)
    here, before = os.getcwd(), mount_table()
    assert named.mount_by_text(named.long) == stacks.Mounting(8584, 61)
    assert named.mount_by_text([f"./{name}" for name in named.long]).refused == "ENOENT"
    assert named.mount_by_text(named.short) == stacks.Mounting(3720, 128)
    assert named.mount_one_by_one(named.long) == stacks.Mounting(0, 128)
    assert (os.getcwd(), mount_table()) == (here, before)


def test_misses_are_measured_in_every_depth(kernel_lab: Lab) -> None:
    layers = [kernel_lab.layer(f"layer{n}", {f"file{n}": "x"}) for n in range(4)]
    misses = stacks.measure_misses(kernel_lab, layers, [2, 4])
    assert list(misses.first) == list(misses.again) == [2, 4]
    assert all(time > 0 for time in (*misses.first.values(), *misses.again.values()))


def test_a_curve_says_in_words_what_it_shows() -> None:
    curve = Curve("lowers", "µs", {"first": [(2, 10.0), (400, 700.0)], "again": [(2, 3), (400, 3)]})
    assert repr(curve).splitlines() == [
        "lowers  first     again",
        "2       10.0 µs   3.0 µs",
        "400     700.0 µs  3.0 µs",
    ]
    picture = ElementTree.fromstring(curve.svg())
    assert picture.get("aria-label", "").split() == repr(curve).split()
    assert len(picture.findall(".//{*}polyline")) == 2
    ElementTree.fromstring(Curve("lowers", "µs", {}).svg())
