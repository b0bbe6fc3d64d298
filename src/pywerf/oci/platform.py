"""Platforms: `os/arch[/variant]`, normalised as containerd does."""

from __future__ import annotations

import os

import msgspec

from pywerf.errors import InvalidPlatform

__all__ = ["Platform", "host_platform"]

_ARCH = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
}

# Only names like these may stand alone; beside a system any architecture may.
_KNOWN_SYSTEMS = frozenset(("linux", "windows", "darwin", "freebsd"))
_KNOWN_ARCHITECTURES = frozenset(
    """
    386 amd64 arm arm64 armbe arm64be loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le ppc ppc64 ppc64le
    riscv riscv64 s390 s390x sparc sparc64 wasm
    """.split()  # noqa: SIM905
)


class Platform(msgspec.Struct, frozen=True, order=True):
    """One platform; `variant` is empty where there is none. `str()` gives `os/arch[/variant]`."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `os/arch[/variant]`, or an architecture alone (Linux then). Raises InvalidPlatform."""
        parts = text.strip().lower().split("/")
        if len(parts) == 1 and parts[0] in _KNOWN_SYSTEMS:
            parts = [parts[0], host_platform().architecture]
        elif len(parts) == 1 and (parts[0] in _ARCH or parts[0] in _KNOWN_ARCHITECTURES):
            parts = ["linux", parts[0]]
        if not all(parts) or not 1 < len(parts) < 4:
            raise InvalidPlatform(
                f"invalid platform {text!r}",
                hint="write OS/ARCH or OS/ARCH/VARIANT, for instance linux/arm64",
            )
        return cls.of(*parts)

    @classmethod
    def of(cls, os: str, architecture: str, variant: str = "") -> Platform:
        """A normalised platform: `x86_64` is `amd64`, `arm64/v8` is `arm64`, `arm` is `arm/v7`."""
        architecture, implied = _ARCH.get(architecture, (architecture, ""))
        variant = variant or implied
        if architecture == "arm64" and variant in ("8", "v8"):
            variant = ""
        elif architecture == "arm":
            variant = {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"}.get(variant, variant)
        elif architecture == "amd64" and variant == "v1":
            variant = ""
        return cls(os, architecture, variant)

    def satisfies(self, wanted: Platform) -> bool:
        """Whether an image of this platform can be taken where `wanted` is asked for."""
        if (self.os, self.architecture) != (wanted.os, wanted.architecture):
            return False
        if self.variant == wanted.variant or not wanted.variant:
            return True
        return not self.variant or (wanted.architecture == "arm" and self.variant < wanted.variant)

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}" + (f"/{self.variant}" if self.variant else "")


def host_platform() -> Platform:
    """The platform of this machine (uname(2)): what containers on it are, so always a Linux."""
    if hasattr(os, "uname"):
        return Platform.of("linux", os.uname().machine)
    return Platform.of("linux", os.environ.get("PROCESSOR_ARCHITECTURE", "amd64").lower())  # Windows
