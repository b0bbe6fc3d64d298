"""Builds as tests write them: files in, an image out that can be asked for its config and its files."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.image_compare import Image, read_image
from support.werf import Werf


class Built:
    """The image that a build has printed the id of. `log` is what was said on stderr."""

    def __init__(self, werf: Werf, id: str, log: str) -> None:
        self.werf = werf
        self.id = id
        self.log = log

    @functools.cached_property
    def document(self) -> dict[str, Any]:
        """The image config's JSON, from the store."""
        document: dict[str, Any] = json.loads((self.werf.root / "oci/blobs/sha256" / self.id).read_bytes())
        return document

    @property
    def config(self) -> dict[str, Any]:
        """How a container of it runs."""
        config: dict[str, Any] = self.document["config"]
        return config

    @functools.cached_property
    def image(self) -> Image:
        """The whole image, every digest checked."""
        archive = self.werf.home / f"{self.id[:12]}.tar"
        try:
            return read_image(self.werf.export(self.id, archive))
        finally:
            archive.unlink(missing_ok=True)

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """Its files by path."""
        return self.image.files

    @property
    def cached(self) -> list[bool]:
        """Of each instruction that was shown, in order, whether it came from the cache."""
        names: dict[str, str] = {}
        states: dict[str, bool] = {}
        for line in self.log.splitlines():
            number, _, rest = line.partition(" ")
            if number.startswith("#") and rest.startswith("[") and not rest.startswith("[internal]"):
                names.setdefault(number, rest)
            if number in names and rest.startswith(("DONE", "CACHED")):
                states[number] = rest.startswith("CACHED")
        return [states[number] for number in names if number in states]


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder; a name with `/` at its end is a directory, `NAME -> TARGET` a symlink."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str) and content.startswith("-> "):
            os.symlink(content[3:], path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def build(
    werf: Werf,
    context: Path | str,
    *flags: str | Path,
    stdin: bytes | None = None,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> Built:
    """`werf buildah build FLAGS CONTEXT`, which must succeed."""
    done = werf.run("buildah", "build", *flags, context, stdin=stdin, env=env, cwd=cwd)
    return Built(werf, done.stdout.strip().splitlines()[-1], done.stderr)


def fails(werf: Werf, context: Path | str, *flags: str | Path, code: int = 125, stdin: bytes | None = None) -> str:
    """The same, which must fail; what it said."""
    done = werf.run("buildah", "build", *flags, context, check=False, stdin=stdin)
    assert done.returncode == code, f"exit {done.returncode} instead of {code}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    return done.stderr
