"""Reading a layer's tar: all that Python's tarfile writes, cut into chunks anywhere."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

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
        ("/".join("n" * 2047), True),
    ],
)
def test_a_path_as_long_as_linux_takes_it(path: str, fits: bool):
    if fits:
        assert clean(path) == path
        return
    with pytest.raises(BadImage, match="too long for a path"):
        clean(path)


@pytest.mark.parametrize(
    ("path", "is_"),
    [("a/../b/f", "b/f"), ("/a/b/../../c", "c"), ("a/..", ""), ("./a/./..//b", "b")],
)
def test_two_dots_within_the_layer_go_by_the_names(path: str, is_: str):
    """As Docker 20.10 loads them (filepath.Clean)."""
    assert clean(path) == is_


def test_a_checksum_of_bytes_with_a_sign():
    """Of old tars; GNU tar and Go read both (archive/tar, "checksum")."""
    block = bytearray(
        entry("caf\udce9", mtime=1).tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    )
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(byte - 256 if byte > 127 else byte for byte in block)
    ((found, _),) = read_tar([bytes(block), bytes(1024)])
    assert found.path == "caf\udce9"


def test_an_empty_value_of_pax_is_none():
    """The header's own counts then (POSIX); an xattr may be empty."""
    headers = {"path": "", "uid": "", "mtime": "", "linkpath": "", "SCHILY.xattr.user.a": ""}
    made = tarfile.TarInfo("f")
    made.uid, made.mtime, made.pax_headers = 7, 5, headers
    ((found, _),) = read_tar([written(made, form="pax")])
    assert (found.path, found.uid, found.mtime) == ("f", 7, 5)
    assert found.xattrs == {"user.a": b""}


def test_what_is_about_no_entry_is_left_out():
    made = [
        entry("label", b"V"),
        entry("global", b"g"),
        entry("f", size=1),
        entry("odd", b"Z", size=2),
    ]
    found = [(one.path, one.kind, one.size) for one, _ in read_tar([written(*made)])]
    assert found == [("f", "file", 1), ("odd", "file", 2)]


def test_a_directory_with_a_list_of_what_was_in_it():
    made = written(entry("d/", b"D", size=700), entry("f", size=3))
    assert [(one.path, one.kind, one.size) for one, _ in read_tar([made])] == [
        ("d", "directory", 0),
        ("f", "file", 3),
    ]


@pytest.mark.parametrize("chunk", [512, 1000, 1 << 20])
@pytest.mark.parametrize(
    "form", ["--format=gnu", *(f"--sparse-version={v}" for v in ("0.0", "0.1", "1.0"))]
)
@pytest.mark.parametrize("pieces", [1, 3, 40])
def test_a_sparse_file_is_read_as_it_was(directory: Path, form: str, chunk: int, pieces: int):
    """Written by GNU tar in each of its ways; the holes count, as for whoever unpacks it."""
    name = "s" * 120
    with open(directory / name, "wb") as file:
        for number in range(pieces):
            file.seek(number * 200_000 + 4096)
            file.write(bytes([number + 1]) * 5000)
        file.truncate(pieces * 200_000 + 50_000)
    (directory / "after").write_text("after")
    options = [form] if "gnu" in form else ["--format=posix", form]
    made = subprocess.run(
        ["tar", "-C", directory, "--sparse", *options, "-c", name, "after"],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert len(made) < pieces * 20_000 + 20_480  # it is stored sparse
    found = {one.path: (one.size, b"".join(data)) for one, data in read_tar(cut(made, chunk))}
    whole = (directory / name).read_bytes()
    assert found == {name: (len(whole), whole), "after": (5, b"after")}
    assert [one.path for one, _ in read_tar(cut(made, chunk))] == [name, "after"]


@pytest.mark.parametrize(
    "headers",
    [
        {"GNU.sparse.map": "0,1,9", "GNU.sparse.size": "100"},
        {"GNU.sparse.map": "0,2", "GNU.sparse.size": "100"},
        {"GNU.sparse.map": "5,1,0,0", "GNU.sparse.size": "3"},
        {"GNU.sparse.map": "x,1", "GNU.sparse.size": "9"},
        {"GNU.sparse.map": "0,-1,0,2", "GNU.sparse.size": "9"},
        {"GNU.sparse.map": "0,1"},
        {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 45)},
        {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": "9"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"},
    ],
)
def test_a_map_that_does_not_add_up(headers: dict[str, str]):
    made = entry("f", size=1)
    made.pax_headers = headers
    with pytest.raises(BadImage, match="whose map does not add up"):
        list(read_tar([written(made, form="pax")]))


def test_an_empty_chunk_is_not_the_end():
    pieces = [piece for part in cut(written(entry("f", size=2000)), 512) for piece in (b"", part)]
    assert [len(b"".join(data)) for _, data in read_tar(pieces)] == [2000]
    assert [one.path for one, _ in read_tar(pieces)] == ["f"]


@pytest.mark.parametrize(
    "headers",
    [
        {"GNU.sparse.name": "other"},
        {"GNU.sparse.size": "100"},
        {"GNU.sparse.major": "2", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "100"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "1", "GNU.sparse.realsize": "100"},
    ],
)
def test_what_is_sparse_in_no_known_way_is_a_file(headers: dict[str, str]):
    """As Go has it, and so Docker 20.10 and 28.5."""
    made = entry("f", size=20)
    made.pax_headers = headers
    found = [(one.path, one.size) for one, _ in read_tar([written(made, form="pax")])]
    assert found == [("f", 20)]


def test_a_name_of_gnu_counts_more_than_one_of_pax():
    """Whichever comes first, and what pax says besides is kept; as for Docker 20.10 and 28.5."""
    gnu = written(entry("g" * 120, size=1))
    named, f = gnu[:1024], gnu[1024:1536]
    made = entry("p" * 120)
    made.pax_headers = {"uid": "7"}
    pax = written(made, form="pax")[:1536]
    for headers in (named + pax[:1024], pax[:1024] + named):
        ((found, _),) = read_tar([headers, f, b"1", bytes(511 + 1024)])
        assert (found.path, found.uid) == ("g" * 120, 7)


@pytest.mark.parametrize(
    ("field", "is_"),
    [(b"\0\x001234\0\0", 668), (b"  1234 \0", 668), (b"1234\0\0\0\0", 668), (b"\0" * 8, 0)],
)
def test_how_numbers_are_filled_up(field: bytes, is_: int):
    block = bytearray(entry("f").tobuf(tarfile.GNU_FORMAT))
    block[108:116], block[148:156] = field, b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    ((found, _),) = read_tar([bytes(block), bytes(1024)])
    assert found.uid == is_


@pytest.mark.parametrize(
    ("where", "path"),
    [(b"docker/layers", "docker/layers/f"), (b"13727410000\x0013727410000", "f"), (b"", "f")],
)
def test_a_prefix_that_go_wrote_where_gnu_has_times(where: bytes, path: str):
    block = bytearray(entry("f").tobuf(tarfile.GNU_FORMAT))
    block[345 : 345 + len(where)], block[148:156] = where, b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    ((found, _),) = read_tar([bytes(block), bytes(1024)])
    assert found.path == path


@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_a_file_whose_name_ends_with_a_slash(form: str):
    """As Docker 20.10 and 28.5 have it; of old tars alone the slash tells a directory."""
    made = written(entry("f/", size=3), entry("g", size=1), form=form)
    assert [(one.path, one.kind, one.size) for one, _ in read_tar([made])] == [
        ("f", "file", 3),
        ("g", "file", 1),
    ]


@pytest.mark.parametrize("chunk", [1, 512, 700])
def test_a_tar_that_ends_with_the_bytes_of_its_last_file(chunk: int):
    """The engines take it, and nothing of a file is missing."""
    made = written(entry("f", size=700))
    whole = made[: 512 + 700]
    for end in (0, 1, 323):
        ((found, data),) = [
            (one, b"".join(data)) for one, data in read_tar(cut(made[: len(whole) + end], chunk))
        ]
        assert (found.path, data) == ("f", whole[512:])
    with pytest.raises(BadImage, match="in the middle of an entry"):
        list(read_tar(cut(whole[:-1], chunk)))


@pytest.mark.parametrize("chunk", [512, 1 << 20])
def test_what_follows_half_an_end_is_not_passed_over(chunk: int):
    """Docker 20.10 and 28.5 refuse it; what follows a whole end, all leave out."""
    one, other = (written(entry(name, size=1))[:1024] for name in "fg")
    with pytest.raises(BadImage, match="goes on after an empty block"):
        list(read_tar(cut(one + bytes(512) + other + bytes(1024), chunk)))
    for end in (bytes(512), bytes(1024) + other, bytes(1024) + b"junk"):
        assert [found.path for found, _ in read_tar(cut(one + end, chunk))] == ["f"]
