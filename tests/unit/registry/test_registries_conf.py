"""registries.conf: what is read from where, and where references lead."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import RegistryConfigError
from pywerf.oci.digest import EMPTY_SHA256
from pywerf.oci.reference import Reference
from pywerf.registry.registries_conf import Mirror, Registries, Registry, load_registries
from pywerf.registry.registries_file import read_registries

EXAMPLE = """
unqualified-search-registries = ["quay.io", "docker.io"]

[aliases]
alpine = "docker.io/library/alpine"
"team/tool" = "r.example/tools/tool"

[[registry]]
prefix = "example.com/foo"
location = "internal.example:5000/bar"
insecure = true

[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "mirror.example/hub"
[[registry.mirror]]
location = "127.0.0.1:5000"
insecure = true
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "tags.example"
pull-from-mirror = "tag-only"

[[registry]]
prefix = "*.corp.example"
location = "proxy.example/corp"

[[registry]]
prefix = "bad.example"
blocked = true

[[registry]]
prefix = "example.com/foo/secret"
location = "vault.example"
mirror-by-digest-only = true
[[registry.mirror]]
location = "copy.example"
"""


@pytest.fixture
def example(tmp_path: Path) -> Registries:
    (tmp_path / "registries.conf").write_text(EXAMPLE)
    return read_registries(str(tmp_path / "registries.conf"))


def endpoints(registries: Registries, text: str) -> list[str]:
    return [
        str(endpoint.reference) + ("!" if endpoint.insecure else "") + ("~" if endpoint.mirror else "")
        for endpoint in registries.resolve(Reference.parse(text))
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("free.example/a:1", ["free.example/a:1"]),
        ("example.com/foo/x:1", ["internal.example:5000/bar/x:1!"]),
        ("example.com/foo:1", ["internal.example:5000/bar:1!"]),
        ("example.com/food:1", ["example.com/food:1"]),
        (
            "docker.io/library/alpine:3",
            ["mirror.example/hub/library/alpine:3~", "tags.example/library/alpine:3~", "docker.io/library/alpine:3"],
        ),
        (
            f"docker.io/library/alpine@{EMPTY_SHA256}",
            [
                f"mirror.example/hub/library/alpine@{EMPTY_SHA256}~",
                f"127.0.0.1:5000/library/alpine@{EMPTY_SHA256}!~",
                f"docker.io/library/alpine@{EMPTY_SHA256}",
            ],
        ),
        ("a.corp.example/app:1", ["proxy.example/corp/app:1"]),
        ("a.b.corp.example/app:1", ["proxy.example/corp/app:1"]),
        ("corp.example/app:1", ["corp.example/app:1"]),
        ("other.example/a.corp.example/app:1", ["other.example/a.corp.example/app:1"]),
        ("example.com/foo/secret/x:1", ["vault.example/x:1"]),
        (
            f"example.com/foo/secret/x@{EMPTY_SHA256}",
            [f"copy.example/x@{EMPTY_SHA256}~", f"vault.example/x@{EMPTY_SHA256}"],
        ),
    ],
)
def test_resolve(example: Registries, name: str, expected: list[str]) -> None:
    assert endpoints(example, name) == expected


def test_push_goes_to_no_mirror(example: Registries) -> None:
    assert str(example.resolve_push(Reference.parse("docker.io/me/app:1")).reference) == "docker.io/me/app:1"
    moved = example.resolve_push(Reference.parse("example.com/foo/x:1"))
    assert (str(moved.reference), moved.insecure) == ("internal.example:5000/bar/x:1", True)


def test_blocked(example: Registries, tmp_path: Path) -> None:
    for resolve in (example.resolve, example.resolve_push):
        with pytest.raises(RegistryConfigError, match=r"blocked by .*registries\.conf:29"):
            resolve(Reference.parse("bad.example/x"))


def candidates(registries: Registries, text: str) -> list[str]:
    return [str(reference) for reference in registries.candidates(Reference.parse(text))]


def test_short_names(example: Registries) -> None:
    assert candidates(example, "alpine:3") == ["docker.io/library/alpine:3"]
    assert candidates(example, f"team/tool@{EMPTY_SHA256}") == [f"r.example/tools/tool@{EMPTY_SHA256}"]
    assert candidates(example, "debian") == ["quay.io/debian", "docker.io/library/debian"]
    assert candidates(example, "quay.io/debian") == ["quay.io/debian"]
    assert candidates(Registries(), "debian:12") == ["docker.io/library/debian:12"]
    assert candidates(Registries(search=("r.io/team",)), "app:1") == ["r.io/team/app:1"]
    assert candidates(Registries(aliases={"x": ""}), "x") == ["docker.io/library/x"]


def test_short_name_modes(example: Registries) -> None:
    aliases = {"x": "r.io/x"}
    two = ("a.io", "b.io")
    enforcing = Registries(search=two, aliases=aliases, short_name_mode="enforcing")
    assert candidates(enforcing, "x") == ["r.io/x"]
    with pytest.raises(RegistryConfigError) as caught:
        candidates(enforcing, "y")
    assert "a.io/y, b.io/y" in (caught.value.hint or "")
    assert candidates(Registries(search=("a.io",), short_name_mode="enforcing"), "y") == ["a.io/y"]
    assert candidates(Registries(search=two, aliases=aliases, short_name_mode="disabled"), "x") == ["a.io/x", "b.io/x"]


def test_files_and_drop_ins(tmp_path: Path) -> None:
    home = tmp_path / ".config/containers"
    drop_ins = home / "registries.conf.d"
    drop_ins.mkdir(parents=True)
    (home / "registries.conf").write_text('unqualified-search-registries = ["a.io"]\n[[registry]]\nlocation = "a.io"\n')
    (drop_ins / "20.conf").write_text('[[registry]]\nlocation = "a.io"\ninsecure = true\n[aliases]\nx = "c.io/x"\n')
    (drop_ins / "10.conf").write_text('unqualified-search-registries = ["b.io"]\nshort-name-mode = "disabled"\n')
    (drop_ins / "30.txt").write_text("not read")
    (tmp_path / ".cache/containers").mkdir(parents=True)
    (tmp_path / ".cache/containers/short-name-aliases.conf").write_text('[aliases]\nx = "d.io/x"\n')
    read = load_registries({"HOME": str(tmp_path)})
    assert read.search == ("b.io",)
    assert read.short_name_mode == "disabled"
    assert read.aliases["x"] == "d.io/x"
    found = read.find(Reference.parse("a.io/y"))
    assert found is not None
    assert found.insecure
    alone = tmp_path / "alone.conf"
    alone.write_text('unqualified-search-registries = ["e.io"]')
    read = load_registries({"HOME": str(tmp_path), "CONTAINERS_REGISTRIES_CONF": str(alone), "XDG_CACHE_HOME": "/none"})
    assert read == Registries(search=("e.io",))
    with pytest.raises(RegistryConfigError, match="no such file"):
        load_registries({"CONTAINERS_REGISTRIES_CONF": "/no/such/file"})


def test_version_1(tmp_path: Path) -> None:
    path = tmp_path / "registries.conf"
    path.write_text(
        "[registries.search]\nregistries = ['a.io']\n[registries.insecure]\nregistries = ['b.io']\n"
        "[registries.block]\nregistries = ['c.io']\n"
    )
    read = read_registries(str(path))
    assert read.search == ("a.io",)
    assert endpoints(read, "b.io/x") == ["b.io/x!"]
    with pytest.raises(RegistryConfigError, match="blocked"):
        read.resolve(Reference.parse("c.io/x"))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a = 1\nb = [\n", 3, ""),
        ("a = 1\nregistry = = 3", 2, "invalid value"),
        ("registry = 5", 1, "no array of tables"),
        ("\n[[registry]]\nlocation = 5", 3, "location is no string"),
        ('[[registry]]\nlocation = "a.io"\n[[registry]]\nlocation = "b.io"\ninsecure = "yes"', 5, "neither true nor"),
        ("\n\n[[registry]]\ninsecure = true", 3, "neither prefix nor location"),
        ('[[registry]]\nlocation = "https://a.io"', 2, "has a scheme"),
        ('[[registry]]\nlocation = "a io"', 2, "no place in a registry"),
        ('[[registry]]\nlocation = "a.io"\n[[registry.mirror]]\ninsecure = true', 3, "the mirror has no location"),
        ('[[registry]]\nlocation = "a.io"\nmirror = 3', 3, "mirror is no array"),
        ('[[registry]]\nlocation = "a.io"\n[[registry.mirror]]\nlocation = "b.io"\npull-from-mirror = "x"', 5, "'x'"),
        ('unqualified-search-registries = "docker.io"', 1, "no list of strings"),
        ('\nshort-name-mode = "maybe"', 2, "short-name-mode is 'maybe'"),
        ('[aliases]\nalpine = "alpine"', 2, "stands for 'alpine'"),
        ('[aliases]\nalpine = "docker.io/library/alpine:3"', 2, "stands for"),
        ('[aliases]\n"a.io/x" = "b.io/x"', 2, "no short name"),
        ('[aliases]\n"UP" = "b.io/x"', 2, "lower case"),
        ('[registries.search]\nregistries = ["a.io"]\n[[registry]]\nlocation = "b.io"', 1, "versions 1 and 2"),
    ],
)
def test_malformed(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = tmp_path / "registries.conf"
    path.write_text(text)
    with pytest.raises(RegistryConfigError) as caught:
        read_registries(str(path))
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert message in str(caught.value)


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "registries.conf"
    path.write_bytes(b"a = 1\n\xff")
    with pytest.raises(RegistryConfigError, match=":2: not UTF-8"):
        read_registries(str(path))


name = st.from_regex(r"[a-z]{1,3}(\.[a-z]{1,3}){1,2}(/[a-z]{1,3}){1,3}", fullmatch=True)


@given(name=name, prefix=name | st.from_regex(r"\*(\.[a-z]{1,3}){1,2}", fullmatch=True))
def test_a_prefix_ends_where_a_name_part_ends(name: str, prefix: str) -> None:
    end = Registry(prefix=prefix).matched(name)
    if end >= 0:
        assert end == len(name) or name[end] in "/:@"
        assert name[:end].endswith(prefix.lstrip("*"))
    elif not prefix.startswith("*"):
        assert name != prefix
        assert not name.startswith(prefix + "/")


def test_more_mirrors_of_docker_io_come_first() -> None:
    reference = Reference.parse("docker.io/library/alpine:3")
    hosts = [place.host for place in Registries().with_mirrors(("one.example", "two.example/hub")).resolve(reference)]
    assert hosts == ["one.example", "two.example", "docker.io"]
    own = Registries((Registry("docker.io", mirrors=(Mirror("own.example"),)), Registry("quay.io")))
    places = own.with_mirrors(("one.example",)).resolve(reference)
    assert [str(place.reference) for place in places] == [
        "one.example/library/alpine:3",
        "own.example/library/alpine:3",
        "docker.io/library/alpine:3",
    ]
    other = Reference.parse("quay.io/a/b:1")
    assert [place.host for place in own.with_mirrors(("one.example",)).resolve(other)] == ["quay.io"]
    assert own.with_mirrors(()) is own
