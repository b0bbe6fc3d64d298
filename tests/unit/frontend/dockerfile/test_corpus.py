"""The Dockerfiles of the conformance corpus, where it is at hand, and one of our own always."""

from __future__ import annotations

import json
import posixpath
import tarfile
from pathlib import Path

import pytest
import zstandard

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile import parse, parse_instructions, to_text

EVERYTHING = b"""\
# syntax=docker/dockerfile:1
ARG BASE=debian:12
FROM --platform=$BUILDPLATFORM ${BASE} AS build
ARG TARGETARCH
ENV A=1 B="two words"
LABEL a=b
SHELL ["/bin/bash", "-c"]
WORKDIR /src
COPY --link --chown=1:1 . .
ADD --checksum=sha256:0000000000000000000000000000000000000000000000000000000000000000 https://example.org/x /x
RUN --mount=type=cache,target=/root/.cache --network=none <<EOF
make
EOF
ONBUILD COPY . /app
FROM scratch
MAINTAINER me
COPY --from=build /out /
VOLUME /data
USER 1000
EXPOSE 80 443/udp
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD true
ENTRYPOINT ["/app"]
CMD ["serve"]
"""

# What their origins take and no reference does: an empty FROM is what is left of a template.
NOT_REALLY_GOOD = ("FROM requires either one or three arguments",)


def dockerfiles(folder: Path | None) -> list[tuple[str, str, bool, bytes]]:
    """(name, what is expected of its build, whether it runs without help, content)."""
    found = [("everything", "ok", True, EVERYTHING)]
    if folder is None:
        return found
    packed = zstandard.ZstdDecompressor().stream_reader((folder / "cases.tar.zst").open("rb"), closefd=True)
    files: dict[str, bytes] = {}
    with packed, tarfile.open(fileobj=packed, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() and member.size < 1 << 20 else None
            if content is not None:
                files[posixpath.normpath(member.name)] = content.read()
    for name, content in files.items():
        if posixpath.basename(name) != "case.json":
            continue
        case = json.loads(content)
        here = posixpath.dirname(name)
        if case["dockerfile"] is None:
            continue
        for place in (case["dockerfile"], posixpath.join(case["context"] or "", case["dockerfile"])):
            text = files.get(posixpath.normpath(posixpath.join(here, place)))
            if text is not None:
                found.append((case["id"], case["expect"], case["skip"] is None, text))
                break
    return found


def test_every_dockerfile_parses_or_is_refused_with_a_place(corpus_folder: Path | None) -> None:
    refused = []
    for name, expected, complete, data in dockerfiles(corpus_folder):
        try:
            tree = parse(data)
            assert to_text(tree).encode("utf-8", "surrogateescape") == data
            parse_instructions(tree)
        except DockerfileError as error:
            if error.source is None or (expected == "ok" and not error.message.startswith(NOT_REALLY_GOOD)):
                refused.append((name, complete, str(error)))
    assert refused == []


def test_unreadable_files_have_no_instructions() -> None:
    tree = parse(b"\x00\xff\xfe")
    with pytest.raises(DockerfileError, match="unknown instruction"):
        parse_instructions(tree)
