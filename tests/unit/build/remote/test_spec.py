"""`--cache-from` and `--cache-to` as written."""

from __future__ import annotations

import pytest

from pywerf.build.remote.spec import CacheSpec, parse_from, parse_to
from pywerf.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host/app/cache", {"kind": "repository", "ref": "host/app/cache", "mode": "max"}),
        ("host.io/app:cache", {"kind": "registry", "ref": "host.io/app:cache", "mode": "min"}),
        ("type=registry,ref=host.io/app:1", {"kind": "registry", "ref": "host.io/app:1", "compression": "gzip"}),
        (
            "type=registry,ref=host.io/app:1,mode=max,compression=zstd,compression-level=7,ignore-error=true",
            {"mode": "max", "compression": "zstd", "level": 7, "ignore_error": True},
        ),
        ("type=registry,ref=a/b,compression=uncompressed,oci-mediatypes=true", {"compression": "none", "tag": ""}),
        ("type=local,dest=/cache", {"kind": "local", "path": "/cache", "tag": "latest", "name": "/cache:latest"}),
        ("type=local,dest=out,tag=mine,mode=max", {"path": "out", "tag": "mine", "mode": "max"}),
        ("type=inline", {"kind": "inline"}),
        ("type=cache-mount,id=all,ref=host.io/m:1", {"kind": "cache-mount", "id": "all", "ref": "host.io/m:1"}),
        ("type=cache-mount,id=/root/.cache,dest=/x", {"id": "/root/.cache", "path": "/x", "tag": "mounts"}),
    ],
)
def test_cache_to(text: str, expected: dict[str, object]) -> None:
    spec = parse_to(text)
    assert {name: getattr(spec, name) for name in expected} == expected
    assert spec.text == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("repo/cache", {"kind": "repository"}),
        ("host.io/app:1", {"kind": "registry"}),
        ("host.io/app@sha256:" + 64 * "a", {"kind": "registry"}),
        ("type=local,src=/cache", {"kind": "local", "path": "/cache"}),
        ("TYPE=registry,Ref=a/b:1", None),
        ("type=cache-mount,id=pip,src=/x,tag=t", {"id": "pip", "path": "/x", "tag": "t"}),
    ],
)
def test_cache_from(text: str, expected: dict[str, object] | None) -> None:
    if expected is None:
        assert parse_from(text).kind == "registry"  # keys in any case, as buildx has it
        return
    spec: CacheSpec = parse_from(text)
    assert {name: getattr(spec, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("type=gha", "not supported"),
        ("type=s3,region=x", "not supported"),
        ("type=azblob", "not supported"),
        ("type=nothing", "unknown type 'nothing'"),
        ("ref=a/b:1", "type is missing"),
        ("type=registry", "ref is missing"),
        ("type=registry,ref=", "ref is missing"),
        ("type=registry,ref=a/UPPER", "lower case"),
        ("type=registry,ref=a/b:1,ref=a/c:1", "given twice"),
        ("type=registry,ref=a/b:1,color=red", "color is not known"),
        ("type=registry,ref=a/b:1,mode=most", "unknown mode"),
        ("type=registry,ref=a/b:1,compression=lzma", "unknown compression"),
        ("type=registry,ref=a/b:1,compression-level=high", "not a number"),
        ("type=registry,ref=a/b:1,oci-mediatypes=false", "always an OCI image manifest"),
        ("type=registry,ref=a/b:1,force-compression=true", "keep the compression"),
        ("type=registry,ref=a/b:1,ignore-error=maybe", "expected true or false"),
        ("type=registry,ref=a/b@sha256:" + 64 * "a", "cannot be written"),
        ("type=local", "dest is missing"),
        ("type=local,src=/x", "src is not known"),
        ("type=inline,ref=a", "takes nothing else"),
        ("type=cache-mount,ref=a/b:1", "id is missing"),
        ("type=cache-mount,id=x", "either ref or dest"),
        ("type=cache-mount,id=x,ref=a/b:1,dest=/x", "either ref or dest"),
        ("type=local,dest", "not KEY=VALUE"),
        ("Not A Name", "invalid image reference"),
        ("", "the name is empty"),
    ],
)
def test_wrong_ones(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_to(text)
    assert says in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.message.startswith(f"--cache-to {text}: ")


def test_inline_cannot_be_read_by_itself() -> None:
    with pytest.raises(UsageError, match="read from its image"):
        parse_from("type=inline")
