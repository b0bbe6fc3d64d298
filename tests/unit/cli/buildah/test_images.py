"""`werf buildah images`, its table, JSON, templates and filters."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pywerf.store.images import ImageRecord

Werf = Callable[..., Any]


@pytest.fixture
def image(put_image: Callable[..., ImageRecord]) -> ImageRecord:
    return put_image("localhost/app:1", "quay.io/x/y:2")


def test_an_empty_store(werf: Werf) -> None:
    assert werf("buildah", "images").out == "REPOSITORY   TAG   IMAGE ID   CREATED   SIZE\n"
    assert werf("buildah", "images", "--json").out == "[]\n"
    assert werf("buildah", "images", "-q").out == ""


def test_the_table(werf: Werf, image: ImageRecord, put_image: Callable[..., ImageRecord]) -> None:
    bare = put_image(command="/g", created="")
    lines = werf("buildah", "images").out.splitlines()
    assert [line.split() for line in lines] == [
        ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"],
        ["<none>", "<none>", bare.id.short, "2.05", "KB"],
        ["localhost/app", "1", image.id.short, *lines[2].split()[3:6], "2.05", "KB"],
        ["quay.io/x/y", "2", image.id.short, *lines[2].split()[3:6], "2.05", "KB"],
    ]
    assert lines[2].split()[4:6] == ["years", "ago"]
    assert lines[0].index("TAG") == lines[2].index(" 1 ") + 1 == len("localhost/app") + 3


def test_columns(werf: Werf, image: ImageRecord) -> None:
    done = werf("buildah", "images", "--digests", "--no-trunc", "--history", "--noheading").out.splitlines()
    assert len(done) == 2
    assert str(image.id) in done[0]
    assert str(image.manifest_digest) in done[0]
    assert done[0].endswith("quay.io/x/y:2")
    assert done[1].endswith("localhost/app:1")
    assert "DIGEST" in werf("buildah", "images", "--digests").out.splitlines()[0]


def test_json(werf: Werf, image: ImageRecord) -> None:
    (row,) = json.loads(werf("buildah", "images", "--json").out)
    assert list(row) == [
        "id", "names", "digest", "createdat", "size", "created", "createdatraw", "readonly", "history",
    ]  # fmt: skip
    assert row["id"] == image.id.short
    assert row["names"] == ["localhost/app:1", "quay.io/x/y:2"]
    assert row["created"] == 1577934245
    assert row["createdatraw"] == "2020-01-02T03:04:05.678901234Z"
    assert json.loads(werf("buildah", "images", "--json", "--no-trunc").out)[0]["id"] == str(image.id)


def test_quiet(werf: Werf, image: ImageRecord) -> None:
    assert werf("buildah", "images", "-q").out == f"{image.id.short}\n"
    assert werf("buildah", "images", "-q", "--no-trunc").out == f"{image.id}\n"
    assert werf("buildah", "images", "-q", "--json").code == 2


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("{{.ID}}|{{.Name}}|{{.Tag}}", "{id}|localhost/app|1"),
        ("{{.Repository}}:{{.Tag}}", "localhost/app:1"),
        (r"{{.Name}}\t{{.Size}}", "localhost/app\t2.05 KB"),
        ("{{range .Names}}[{{.}}]{{end}}", "[localhost/app:1][quay.io/x/y:2]"),
        ("{{json .Names}}", '["localhost/app:1","quay.io/x/y:2"]'),
        ("{{.CreatedAtRaw}} {{.Created}}", "2020-01-02 03:04:05.678901234 +0000 UTC 1577934245"),
        ("{{if eq .Tag `1`}}one{{else}}other{{end}}", "one"),
        ("{{.Name | upper}} {{truncate .ID 3}}", "LOCALHOST/APP {id3}"),
    ],
)
def test_templates(template: str, line: str, werf: Werf, image: ImageRecord) -> None:
    wanted = line.replace("{id}", image.id.short).replace("{id3}", image.id.hex[:3])
    assert werf("buildah", "images", "--format", template).out.splitlines()[0] == wanted


def test_table_templates(werf: Werf, image: ImageRecord) -> None:
    assert werf("buildah", "images", "--format", "table {{.Name}} {{.Tag}}").out == (
        "REPOSITORY      TAG\nlocalhost/app   1\nquay.io/x/y     2\n"
    )
    assert werf("buildah", "images", "-n", "--format", r"table {{.Tag}}\t{{.Name}}").out == (
        "1   localhost/app\n2   quay.io/x/y\n"
    )


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{.Foo}}", 'template: image:1:2: executing "image" at <.Foo>: can\'t evaluate field Foo in type'),
        ("{{.ID", "template: image:1: unclosed action"),
        ("{{nope .ID}}", 'function "nope" not defined'),
    ],
)
def test_bad_templates(template: str, said: str, werf: Werf, image: ImageRecord) -> None:
    done = werf("buildah", "images", "--format", template)
    assert done.code == 125
    assert said in done.err


def test_one_image_with_all_its_names(werf: Werf, image: ImageRecord, put_image: Callable[..., ImageRecord]) -> None:
    put_image("localhost/other:1", command="/g")
    assert len(werf("buildah", "images", "app:1").out.splitlines()) == 3
    done = werf("buildah", "images", "nosuch")
    assert done.code == 125
    assert "nosuch: image not known" in done.err


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (["dangling=true"], {""}),
        (["dangling=false"], {"old", "new"}),
        (["dangling!=true"], {"old", "new"}),
        (["label=x"], {"", "old", "new"}),
        (["label=x=y"], {"", "old", "new"}),
        (["label=x=z"], set()),
        (["label=z"], set()),
        (["reference=*new*"], {"new"}),
        (["reference=new"], {"new"}),
        (["reference=localhost/n?w:1"], {"new"}),
        (["before=new:1"], {"old"}),
        (["since=old:1"], {"", "new"}),
        (["since=old:1,dangling=false"], {"new"}),
        (["since=old:1", "dangling=true"], {""}),
        (["readonly=true"], set()),
        (["readonly=false"], {"", "old", "new"}),
        (["intermediate=true"], set()),
        (["until=2010-01-01T00:00:00Z"], {"old"}),
        (["until=1h"], {"", "old", "new"}),
    ],
)
def test_filters(filters: list[str], names: set[str], werf: Werf, put_image: Callable[..., ImageRecord]) -> None:
    put_image("localhost/old:1", created="2001-01-01T00:00:00Z")
    put_image("localhost/new:1", created="2021-01-01T00:00:00Z")
    put_image(created="2022-01-01T00:00:00Z")
    words = [word for text in filters for word in ("--filter", text)]
    lines = werf("buildah", "images", "-n", *words).out.splitlines()
    assert {line.split()[0].removeprefix("localhost/").replace("<none>", "") for line in lines} == names


def test_the_filter_id(werf: Werf, image: ImageRecord) -> None:
    assert werf("buildah", "images", "-q", "-f", f"id={image.id.hex[:5]}").out == f"{image.id.short}\n"
    assert werf("buildah", "images", "-q", "-f", "id=zz").out == ""


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("bad=x", 2, 'unsupported image filter "bad"'),
        ("dangling", 2, "expected KEY=VALUE"),
        ("dangling=perhaps", 2, "neither true nor false"),
        ("before=nosuch", 125, "nosuch: image not known"),
        ("until=someday", 2, "not a time"),
    ],
)
def test_bad_filters(text: str, code: int, said: str, werf: Werf) -> None:
    done = werf("buildah", "images", "-f", text)
    assert done.code == code
    assert said in done.err
