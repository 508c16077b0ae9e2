"""Reading a layer's tar: all that Python's tarfile writes, cut into chunks anywhere."""

from __future__ import annotations

import io
import tarfile

import pytest

from overlaylab.errors import BadImage
from overlaylab.image.tarreader import clean, read_tar

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
LONG = "d" * 90 + "/" + "f" * 90


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **facts: int
) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    for fact, value in {"mode": 0o640, "uid": 0o7654321, "gid": 0o1234567, **facts}.items():
        setattr(made, fact, value)
    return made


def written(*entries: tarfile.TarInfo, form: str = "gnu") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=FORMATS[form]) as tar:
        for one in entries:
            tar.addfile(one, io.BytesIO(bytes(range(256)) * 9))
    return file.getvalue()


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("chunk", [1, 511, 512, 700, 1 << 20])
@pytest.mark.parametrize("unread", [False, True])
def test_every_format_is_read_wherever_it_is_cut(form: str, chunk: int, unread: bool):
    entries = [
        entry(LONG, size=1000, mtime=1_600_000_000),
        entry("d/", tarfile.DIRTYPE, mode=0o2755),
        entry("d/symlink", tarfile.SYMTYPE, "./../no//file/"),
        entry("d/hard", tarfile.LNKTYPE, "./" + LONG[:89]),
        entry("d/pipe", tarfile.FIFOTYPE),
        entry("d/last", size=513),
    ]
    links = {"d/symlink": "./../no//file/", "d/hard": LONG[:89]}
    found = []
    for one, pieces in read_tar(cut(written(*entries, form=form), chunk)):
        content = b"" if unread else b"".join(pieces)
        found.append((one.path, one.mode, one.uid, one.gid, one.mtime, one.size, one.link))
        assert unread or content == (bytes(range(256)) * 9)[: one.size]
    assert found == [
        (name := one.name.rstrip("/"), one.mode, one.uid, one.gid, one.mtime, one.size,
         links.get(name, ""))
        for one in entries
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["gnu", "pax"])
@pytest.mark.parametrize("name", ["n" * 99, "n" * 100, "é" * 127 + "x", f"{LONG}/{LONG}"])
def test_long_names_and_targets(form: str, name: str):
    made = written(entry(name, tarfile.SYMTYPE, name), entry("after", size=1), form=form)
    first, second = (one for one, _ in read_tar([made]))
    assert (first.path, first.link, second.path, second.link) == (name, name, "after", "")


@pytest.mark.parametrize("number", [0, 1, 0o7777777, 1 << 21, 1 << 31, 1 << 40])
def test_numbers_that_octal_digits_cannot_hold(number: int):
    ((found, _),) = read_tar([written(entry("f", uid=number, gid=number + 1))])
    assert (found.uid, found.gid) == (number, number + 1)


@pytest.mark.parametrize("time", [-1, -255, -256, -(1 << 33), 1 << 33])
def test_times_before_1970_and_after_2242(time: int):
    ((found, _),) = read_tar([written(entry("f", mtime=time))])
    assert found.mtime == time


def test_a_directory_as_tars_before_posix_wrote_it():
    (old, _), (new, _) = read_tar([written(entry("d/", tarfile.AREGTYPE), entry("e", b"7"))])
    assert (old.kind, old.path, new.kind) == ("directory", "d", "file")


def test_the_checksum_of_a_header_full_of_high_bytes():
    made = entry("\udcff" * 100, tarfile.SYMTYPE, "\udcff" * 100)
    made.uname = made.gname = "\udcff" * 31
    block = bytearray(made.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
    block[345:500] = b"\xff" * 155
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    ((found, _),) = read_tar([bytes(block), bytes(1024)])
    assert found.link == "\udcff" * 100


@pytest.mark.parametrize("size", [-1, (1 << 20) + 1])
def test_a_header_of_a_size_that_no_honest_tar_has(size: int):
    header = entry("././@LongLink", b"L", size=size).tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(BadImage, match=f"a header of {size:,} bytes"):
        list(read_tar([header, bytes(4 << 20)]))


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        ("n" * 255, True),
        ("n" * 256, False),
        ("é" * 127 + "n", True),
        ("é" * 128, False),
        ("/".join(["n" * 255] * 15) + "/" + "n" * 255, True),
        ("/".join(["n" * 255] * 15) + "/" + "n" * 254 + "/n", False),
        ("/".join("n" * 200), True),
        ("/".join("n" * 201), False),
    ],
)
def test_a_path_as_long_and_deep_as_linux_takes_it(path: str, fits: bool):
    if fits:
        assert clean(path) == path
        return
    with pytest.raises(BadImage, match="too long or too deep"):
        clean(path)
