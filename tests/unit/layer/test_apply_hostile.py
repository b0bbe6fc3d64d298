"""Archives that attack: each test is named after what is tried. Nothing outside of the root changes (see `unpack`)."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.errors import ArchiveError
from pywerf.layer.apply import AppliedLayer, LayerForm
from pywerf.linux.removal import remove_tree
from support.trees import header, pax, tree

Unpack = Callable[..., AppliedLayer]


def file(name: bytes, content: bytes = b"evil", **fields: object) -> bytes:
    return header(name, size=len(content), **fields) + content + bytes(-len(content) % 512)  # type: ignore[arg-type]


def link(name: bytes, target: bytes) -> bytes:
    return header(name, kind=b"2", link=target)


def directory(name: bytes, mode: int = 0o755) -> bytes:
    return header(name, kind=b"5", mode=mode)


def names(root: Path) -> list[str]:
    return list(tree(root))


@pytest.mark.parametrize(
    "name",
    [b"../outside/victim", b"a/../../outside/victim", b"./../outside/victim", b"/../outside/victim", b"..", b"a/../.."],
)
def test_dot_dot_in_names(unpack: Unpack, root: Path, form: LayerForm, name: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"leads out of the archive's root"):
        unpack(file(name), form=form)
    assert names(root) == []


def test_dot_dot_inside_the_root_is_resolved_in_the_name(unpack: Unpack, root: Path, form: LayerForm) -> None:
    unpack(link(b"a", b"elsewhere"), file(b"a/../b"), form=form)
    assert names(root) == ["a", "b"]


@pytest.mark.parametrize("name", [b"/etc/passwd", b"//etc/passwd", b"./etc//./passwd"])
def test_absolute_names_are_below_the_root(unpack: Unpack, root: Path, form: LayerForm, name: bytes) -> None:
    unpack(file(name), form=form)
    assert names(root) == ["etc", "etc/passwd"]


@pytest.mark.parametrize("target", [b"../outside", b"/../../outside", b"../../../../../../..", b"../root/../outside"])
def test_write_through_a_relative_symlink(unpack: Unpack, root: Path, form: LayerForm, target: bytes) -> None:
    try:
        unpack(link(b"out", target), file(b"out/victim"), form=form)
    except ArchiveError:
        pass  # what it points to is not there, inside the root
    assert set(names(root)) <= {"out", "victim", "outside/victim"}


def test_write_through_an_absolute_symlink(unpack: Unpack, root: Path, form: LayerForm) -> None:
    outside = os.fsencode(root.parent / "outside")
    with pytest.raises(ArchiveError):
        unpack(link(b"out", outside), file(b"out/victim"), form=form)
    unpack(link(b"in", b"/"), file(b"in/inside"), form=form)
    assert (root / "inside").is_file()


def test_write_through_a_chain_of_symlinks(unpack: Unpack, root: Path, form: LayerForm) -> None:
    outside = os.fsencode(root.parent)
    with pytest.raises(ArchiveError):
        unpack(
            link(b"a", b"b"), link(b"b", b"c/.."), directory(b"d"), link(b"c", b"d/../.." + outside),
            file(b"a/outside/victim"), form=form,
        )  # fmt: skip


def test_symlink_that_changes_its_target_between_entries(unpack: Unpack, root: Path, form: LayerForm) -> None:
    outside = os.fsencode(root.parent / "outside")
    unpack(directory(b"real"), link(b"x", b"real"), file(b"x/one"), form=form)
    with pytest.raises(ArchiveError):
        unpack(link(b"x", b"/real"), file(b"x/two"), link(b"x", outside), file(b"x/victim"), form=form)
    assert names(root) == ["real", "real/one", "real/two", "x"]


def test_directory_replaced_by_a_symlink_while_its_descriptor_is_known(
    unpack: Unpack, root: Path, form: LayerForm
) -> None:
    outside = os.fsencode(root.parent / "outside")
    with pytest.raises(ArchiveError):
        unpack(directory(b"d"), file(b"d/one"), link(b"d", outside), file(b"d/victim"), form=form)
    assert names(root) == ["d"]


def test_file_over_a_symlink_replaces_the_link(unpack: Unpack, root: Path, form: LayerForm) -> None:
    victim = os.fsencode(root.parent / "outside/victim")
    unpack(link(b"f", victim), file(b"f"), form=form)
    assert (root / "f").read_bytes() == b"evil"
    assert not (root / "f").is_symlink()


def test_directory_over_a_symlink_replaces_the_link(unpack: Unpack, root: Path, form: LayerForm) -> None:
    outside = os.fsencode(root.parent / "outside")
    unpack(link(b"d", outside), directory(b"d", 0o700), file(b"d/victim"), form=form)
    assert not (root / "d").is_symlink()
    assert names(root) == ["d", "d/victim"]


@pytest.mark.parametrize("target", [b"../outside/victim", b"../../etc/passwd", b"a/../../outside/victim"])
def test_hard_link_to_a_name_outside(unpack: Unpack, root: Path, form: LayerForm, target: bytes) -> None:
    with pytest.raises(ArchiveError, match="leads out"):
        unpack(header(b"h", kind=b"1", link=target), form=form)


def test_hard_link_to_an_absolute_name_is_below_the_root(unpack: Unpack, root: Path, form: LayerForm) -> None:
    with pytest.raises(ArchiveError, match="not there"):
        unpack(header(b"h", kind=b"1", link=os.fsencode(root.parent / "outside/victim")), form=form)
    unpack(file(b"f"), header(b"h", kind=b"1", link=b"/f"), form=form)
    assert (root / "h").samefile(root / "f")


def test_hard_link_through_a_symlink_to_outside(unpack: Unpack, root: Path, form: LayerForm) -> None:
    outside = os.fsencode(root.parent / "outside")
    with pytest.raises(ArchiveError, match="not there"):
        unpack(link(b"out", outside), header(b"h", kind=b"1", link=b"out/victim"), form=form)


def test_hard_link_to_a_symlink_and_a_write_through_it(unpack: Unpack, root: Path, form: LayerForm) -> None:
    victim = os.fsencode(root.parent / "outside/victim")
    unpack(link(b"s", victim), header(b"h", kind=b"1", link=b"s"), file(b"h"), form=form)
    assert (root / "h").read_bytes() == b"evil"
    assert (root / "s").is_symlink()


def test_hard_link_to_itself_and_to_directories(unpack: Unpack, root: Path, form: LayerForm) -> None:
    unpack(file(b"f"), header(b"f", kind=b"1", link=b"f"), form=form)
    assert (root / "f").read_bytes() == b"evil"
    for target in (b"d", b".", b"/"):
        with pytest.raises(ArchiveError):
            unpack(directory(b"d"), header(b"h", kind=b"1", link=target), form=form)


def test_symlink_loops(unpack: Unpack, root: Path, form: LayerForm) -> None:
    with pytest.raises(ArchiveError):
        unpack(link(b"a", b"b"), link(b"b", b"a"), file(b"a/f"), form=form)
    with pytest.raises(ArchiveError):
        unpack(link(b"self", b"self/x"), file(b"self/x/f"), form=form)


def test_symlink_to_proc_self_root_and_magic_links(unpack: Unpack, root: Path, form: LayerForm) -> None:
    for target in (b"/proc/self/root", b"/proc/self/cwd", b"/proc/self/fd/3"):
        with pytest.raises(ArchiveError):
            unpack(link(b"m", target), file(b"m/victim"), form=form)


@pytest.mark.parametrize("name", [b".wh...", b".wh..", b".wh.", b"d/.wh...", b"d/.wh.."])
def test_whiteout_of_dots(unpack: Unpack, root: Path, form: LayerForm, name: bytes) -> None:
    (root / "keep").mkdir()
    with pytest.raises(ArchiveError, match="whiteout of nothing"):
        unpack(directory(b"d"), file(name, b""), form=form)
    assert (root / "keep").is_dir()


def test_whiteout_through_a_symlink_to_outside(unpack: Unpack, root: Path, form: LayerForm) -> None:
    outside = os.fsencode(root.parent / "outside")
    for blocks in (
        (link(b"out", outside), file(b"out/.wh.victim", b"")),
        (link(b"out", outside), file(b"out/.wh..wh..opq", b"")),
    ):
        try:
            unpack(*blocks, form=form)
        except ArchiveError:
            pass


def test_opaque_mark_does_not_follow_links(unpack: Unpack, root: Path) -> None:
    (root / "d").mkdir()
    (root / "d" / "link").symlink_to(root.parent / "outside")
    unpack(directory(b"d"), file(b"d/.wh..wh..opq", b""))
    assert names(root) == ["d"]


def test_device_nodes_of_the_host_can_be_refused(unpack: Unpack, root: Path, form: LayerForm) -> None:
    blocks = [header(b"disk%d" % number, kind=b"4", rdev=(8, number)) for number in range(50)]
    result = unpack(*blocks, form=form, skip_devices=True)
    assert result.skipped_devices == 50
    assert names(root) == []


def test_char_device_zero_is_a_removal_in_any_form(unpack: Unpack, root: Path) -> None:
    (root / "lower").write_text("x")
    unpack(header(b"lower", kind=b"3", rdev=(0, 0)))
    assert names(root) == []
    unpack(header(b"lower", kind=b"3", rdev=(0, 0)), form="overlay")
    assert stat.S_ISCHR((root / "lower").lstat().st_mode)


def test_overlay_marks_in_xattrs_are_refused(unpack: Unpack, root: Path, form: LayerForm) -> None:
    attack = pax(
        **{
            "SCHILY.xattr.user.overlay.opaque": b"y",
            "SCHILY.xattr.trusted.overlay.opaque": b"y",
            "SCHILY.xattr.user.overlay.redirect": b"/etc",
            "SCHILY.xattr.security.selinux": b"x",
            "SCHILY.xattr.user.honest": b"1",
        }
    )
    unpack(attack, directory(b"d"), attack, file(b"f"), form=form)
    for name in ("d", "f"):
        assert [key for key in os.listxattr(root / name) if not key.startswith("security.selinux")] == ["user.honest"]


def test_file_as_a_parent(unpack: Unpack, root: Path, form: LayerForm) -> None:
    with pytest.raises(ArchiveError, match="not a directory"):
        unpack(file(b"f"), file(b"f/x"), form=form)
    assert (root / "f").read_bytes() == b"evil"


def test_root_that_is_no_directory(unpack: Unpack, root: Path, form: LayerForm) -> None:
    for name in (b".", b"/", b"./", b"a/.."):
        for kind in (b"0", b"1", b"2", b"6"):
            if kind == b"0" and name.endswith(b"/"):
                continue  # v7's way to write a directory
            with pytest.raises(ArchiveError, match="root"):
                unpack(header(name, kind=kind, link=b"x"), form=form)
    assert root.is_dir()


def test_size_lies(unpack: Unpack, root: Path, form: LayerForm) -> None:
    with pytest.raises(ArchiveError, match="too early"):
        unpack(header(b"f", size=1 << 32) + b"little", form=form)
    with pytest.raises(ArchiveError, match="too early"):
        unpack(pax(size=b"9223372036854775807") + header(b"f"), form=form)


def test_huge_sparse_file_takes_no_space(unpack: Unpack, root: Path, form: LayerForm) -> None:
    unpack(pax(GNU_sparse_size=b"1099511627776", GNU_sparse_map=b""), header(b"f"), form=form)
    assert (root / "f").stat().st_blocks == 0
    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        unpack(pax(GNU_sparse_size=b"9223372036854775807", GNU_sparse_map=b""), header(b"g"), form=form)


def test_names_deeper_than_a_path_may_be(unpack: Unpack, root: Path, form: LayerForm) -> None:
    deep = b"/".join([b"d"] * 5000)
    with pytest.raises(ArchiveError, match="name too long"):
        unpack(pax(path=deep), file(b"x"), form=form)
    with pytest.raises(ArchiveError, match="name too long"):
        unpack(pax(path=b"n" * 5000), file(b"x"), form=form)


def test_tree_deeper_than_a_path_may_be_is_removed_again(unpack: Unpack, root: Path) -> None:
    blocks = []
    deep = b"/".join([b"d"] * 1500)
    blocks.append(pax(path=deep) + directory(b"x"))
    blocks.append(link(b"s1", deep))
    blocks.append(pax(path=b"s1/" + deep) + directory(b"x"))
    blocks.append(link(b"s2", b"s1/" + deep))
    blocks.append(pax(path=b"s2/" + deep) + directory(b"x"))
    try:
        try:
            unpack(*blocks)
        except ArchiveError:
            pass  # the kernel follows links only so far
        assert (root / "d").is_dir()
        unpack(file(b"d"))
        assert (root / "d").is_file()
    finally:
        remove_tree(str(root / "d"))


def test_many_directories_do_not_use_up_descriptors(unpack: Unpack, root: Path, form: LayerForm) -> None:
    before = len(os.listdir("/proc/self/fd"))
    unpack(*[file(b"d%d/f" % number) for number in range(300)], form=form)
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(names(root)) == 600


@pytest.mark.parametrize("what", ["archive", "whiteout", "link"])
def test_descriptors_are_closed_after_errors(unpack: Unpack, root: Path, form: LayerForm, what: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    bad = {"archive": b"x" * 512, "whiteout": file(b"d/.wh."), "link": header(b"d/h", kind=b"1", link=b"none")}[what]
    with pytest.raises(ArchiveError):
        unpack(directory(b"d"), file(b"d/f"), bad, form=form)
    assert len(os.listdir("/proc/self/fd")) == before
