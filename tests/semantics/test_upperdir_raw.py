"""What the kernel really writes into an upperdir, read with stat and getxattr alone.

Only for the ``kernel`` backend: another one need not store its marks like this.
"""

from __future__ import annotations

import mmap
import os
import shutil
import stat

import pytest

from overlaylab import Lab, Overlay
from overlaylab.linux import xattrs

from ..helpers import is_whiteout, kinds, mark
from ..rights import MARKS, REAL_ROOT


@pytest.fixture
def web(kernel_lab: Lab) -> Overlay:
    base = kernel_lab.layer("base", {"file": "old", "dir/a": "1", "dir/b": "2", "other": "x"})
    return kernel_lab.mount("web", lower=[base])


def test_a_whiteout_is_a_character_device_0_0(web: Overlay):
    (web.merged / "file").unlink()
    status = (web.upper / "file").lstat()
    assert stat.S_ISCHR(status.st_mode)
    assert (os.major(status.st_rdev), os.minor(status.st_rdev)) == (0, 0)


def test_a_deleted_directory_is_one_device_too(web: Overlay):
    shutil.rmtree(web.merged / "dir")
    assert os.listdir(web.upper) == ["dir"]
    assert is_whiteout(web.upper / "dir")


def test_an_opaque_directory_has_an_xattr_that_says_y(web: Overlay):
    shutil.rmtree(web.merged / "dir")
    (web.merged / "dir").mkdir()
    assert mark(web.upper / "dir", "opaque") == b"y"
    assert os.listdir(web.upper / "dir") == []


def test_marks_are_trusted_for_root_and_user_in_a_user_namespace(web: Overlay):
    shutil.rmtree(web.merged / "dir")
    (web.merged / "dir").mkdir()
    found = [name for name in os.listxattr(web.upper / "dir") if name.endswith(".opaque")]
    assert found == [("trusted" if REAL_ROOT else "user") + ".overlay.opaque"]


def test_marks_are_not_seen_in_merged(web: Overlay):
    shutil.rmtree(web.merged / "dir")
    (web.merged / "dir").mkdir()
    assert not [name for name in os.listxattr(web.merged / "dir") if name.startswith(MARKS)]


def test_a_copied_up_file_remembers_its_origin(web: Overlay):
    with open(web.merged / "file", "a"):
        pass
    entry = web.stack().layers[0].entry("file")
    assert entry.origin == (mark(web.upper / "file", "origin") is not None)
    if REAL_ROOT:
        assert entry.origin


def test_a_new_file_has_no_origin(web: Overlay):
    (web.merged / "new").write_text("x")
    assert mark(web.upper / "new", "origin") is None
    assert not web.stack().layers[0].entry("new").origin


def test_a_whiteout_cannot_be_made_by_hand_in_merged(web: Overlay):
    with pytest.raises(PermissionError):
        os.mknod(web.merged / "file2", stat.S_IFCHR, os.makedev(0, 0))
    assert web.changes() == []


def test_reading_leaves_upper_without_any_entry(web: Overlay):
    for path in web.merged.rglob("*"):
        if path.is_file():
            path.read_bytes()
    assert os.listdir(web.upper) == []


def test_the_inode_number_does_not_change_across_a_copy_up(web: Overlay):
    before = (web.merged / "file").stat().st_ino
    with open(web.merged / "file", "a") as file:
        file.write("new")
    assert (web.merged / "file").stat().st_ino == before


def test_a_descriptor_opened_before_the_copy_up_reads_the_new_data(web: Overlay):
    with open(web.merged / "file") as reader:
        (web.merged / "file").write_text("new")
        assert reader.read() == "new"


def test_a_shared_mapping_made_before_the_copy_up_stays_stale(web: Overlay):
    with (
        open(web.merged / "file", "rb") as file,
        mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapping,
    ):
        (web.merged / "file").write_text("new")
        assert bytes(mapping) == b"old"


def test_copy_up_leaves_nothing_in_the_workdir(web: Overlay):
    with open(web.merged / "dir/a", "a") as file:
        file.write("x")
    assert [path.name for path in web.work.rglob("*")] == ["work"]


def test_all_whiteouts_of_a_mount_are_links_to_one_device_in_the_workdir(web: Overlay):
    """Since Linux 5.8: a whiteout costs a directory entry and no inode."""
    (web.merged / "file").unlink()
    (web.merged / "other").unlink()
    if (web.upper / "file").lstat().st_nlink == 1:
        pytest.skip("this filesystem or kernel makes a device for each")
    assert (web.upper / "file").lstat().st_ino == (web.upper / "other").lstat().st_ino
    assert [is_whiteout(path) for path in (web.work / "work").iterdir()] == [True]


def test_a_commit_takes_whiteouts_and_opaque_marks_along(web: Overlay):
    (web.merged / "file").unlink()
    shutil.rmtree(web.merged / "dir")
    (web.merged / "dir").mkdir()
    layer = web.commit("v2")
    assert is_whiteout(layer.path / "file")
    assert mark(layer.path / "dir", "opaque") == b"y"


def test_a_commit_leaves_the_marks_of_one_mount_behind(web: Overlay):
    with open(web.merged / "dir/a", "a") as file:
        file.write("x")
    layer = web.commit("v2")
    for path in (layer.path, *layer.path.rglob("*")):
        assert set(xattrs.marks(str(path))) <= set(xattrs.CONTENT_MARKS)


def test_a_whiteout_put_by_hand_into_an_unmounted_upper_counts(web: Overlay):
    """As tools that unpack images do."""
    web.unmount()
    if REAL_ROOT or hasattr(os, "mknod"):
        os.mknod(web.upper / "other", stat.S_IFCHR, os.makedev(0, 0))
    assert kinds(web) == {"other": "whiteout"}


def test_a_whiteout_over_nothing_may_be_listed_and_is_not_there(kernel_lab: Lab, web: Overlay):
    """In a directory of one lower alone the kernel filters nothing: ``ls -l`` shows ``?????``."""
    (web.merged / "dir/a").unlink()
    alone = kernel_lab.mount("alone", lower=[web.commit("v2")])
    assert os.listdir(alone.merged / "dir") == ["a"]
    assert not os.path.lexists(alone.merged / "dir/a")
    assert repr(alone.tree()) == "dir/"
    assert alone.lookup("dir/a").answer is None
    assert alone.changes() == []
