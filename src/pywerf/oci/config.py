"""Image configs (OCI image-spec config.md) with Docker's additions: Healthcheck, OnBuild, Shell."""

from __future__ import annotations

from typing import Any

import msgspec

from pywerf.oci.digest import Digest
from pywerf.oci.document import Fields, encode, load_object
from pywerf.oci.platform import Platform

__all__ = ["ContainerConfig", "Healthcheck", "History", "ImageConfig"]


class Healthcheck(msgspec.Struct, frozen=True):
    """HEALTHCHECK. `test` is `("NONE",)`, `("CMD", …)` or `("CMD-SHELL", line)`; times in nanoseconds, 0 = unset."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Docker's JSON object, without what is unset."""
        out: dict[str, Any] = {"Test": list(self.test)} if self.test else {}
        for key, value in (
            ("Interval", self.interval),
            ("Timeout", self.timeout),
            ("StartPeriod", self.start_period),
            ("StartInterval", self.start_interval),
            ("Retries", self.retries),
        ):
            if value:
                out[key] = value
        return out


class ContainerConfig(msgspec.Struct, frozen=True):
    """How a container of the image is run.

    None differs from () for entrypoint, cmd and shell: unset, or set to nothing.
    """

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: dict[str, str] = {}
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    onbuild: tuple[str, ...] = ()
    shell: tuple[str, ...] | None = None
    args_escaped: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The JSON object `config`, without what is unset."""
        out: dict[str, Any] = {}
        if self.user:
            out["User"] = self.user
        if self.exposed_ports:
            out["ExposedPorts"] = {port: {} for port in sorted(self.exposed_ports)}
        if self.env:
            out["Env"] = list(self.env)
        if self.entrypoint is not None:
            out["Entrypoint"] = list(self.entrypoint)
        if self.cmd is not None:
            out["Cmd"] = list(self.cmd)
        if self.healthcheck is not None:
            out["Healthcheck"] = self.healthcheck.to_dict()
        if self.args_escaped:
            out["ArgsEscaped"] = True
        if self.volumes:
            out["Volumes"] = {volume: {} for volume in sorted(self.volumes)}
        if self.working_dir:
            out["WorkingDir"] = self.working_dir
        if self.onbuild:
            out["OnBuild"] = list(self.onbuild)
        if self.labels:
            out["Labels"] = dict(sorted(self.labels.items()))
        if self.stop_signal:
            out["StopSignal"] = self.stop_signal
        if self.shell is not None:
            out["Shell"] = list(self.shell)
        return out


class History(msgspec.Struct, frozen=True):
    """One line of `history`. `created` is an RFC 3339 time."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The JSON object, without what is unset."""
        out: dict[str, Any] = {}
        for key, value in (
            ("created", self.created),
            ("created_by", self.created_by),
            ("author", self.author),
            ("comment", self.comment),
            ("empty_layer", self.empty_layer),
        ):
            if value:
                out[key] = value
        return out


class ImageConfig(msgspec.Struct, frozen=True):
    """The image config: platform, how to run it, its layers' diff_ids (bottom first) and its history."""

    platform: Platform
    config: ContainerConfig = ContainerConfig()
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()
    created: str = ""
    author: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: bytes, what: str = "image config") -> ImageConfig:
        """Read a config of either media type. Raises InvalidDocument."""
        fields = load_object(data, what)
        rootfs = fields.object("rootfs")
        diff_ids = () if rootfs is None else rootfs.strings("diff_ids") or ()
        return cls(
            platform=Platform.of(
                fields.get("os", str, "") or "linux",
                fields.get("architecture", str, "") or "amd64",
                fields.get("variant", str, ""),
            ),
            config=_container_config(fields.object("config")),
            diff_ids=tuple(map(Digest.parse, diff_ids)),
            history=tuple(
                History(
                    created=item.get("created", str, ""),
                    created_by=item.get("created_by", str, ""),
                    author=item.get("author", str, ""),
                    comment=item.get("comment", str, ""),
                    empty_layer=item.get("empty_layer", bool, False),
                )
                for item in fields.objects("history")
            ),
            created=fields.get("created", str, ""),
            author=fields.get("author", str, ""),
            os_version=fields.get("os.version", str, ""),
            os_features=fields.strings("os.features") or (),
        )

    def to_json(self) -> bytes:
        """The document's bytes: the same for equal configs."""
        out: dict[str, Any] = {}
        if self.created:
            out["created"] = self.created
        if self.author:
            out["author"] = self.author
        out["architecture"] = self.platform.architecture
        out["os"] = self.platform.os
        if self.os_version:
            out["os.version"] = self.os_version
        if self.os_features:
            out["os.features"] = list(self.os_features)
        if self.platform.variant:
            out["variant"] = self.platform.variant
        out["config"] = self.config.to_dict()
        out["rootfs"] = {"type": "layers", "diff_ids": [str(diff_id) for diff_id in self.diff_ids]}
        if self.history:
            out["history"] = [item.to_dict() for item in self.history]
        return encode(out)


def _container_config(fields: Fields | None) -> ContainerConfig:
    if fields is None:
        return ContainerConfig()
    check = fields.object("Healthcheck")
    return ContainerConfig(
        user=fields.get("User", str, ""),
        exposed_ports=fields.keys("ExposedPorts"),
        env=fields.strings("Env") or (),
        entrypoint=fields.strings("Entrypoint"),
        cmd=fields.strings("Cmd"),
        volumes=fields.keys("Volumes"),
        working_dir=fields.get("WorkingDir", str, ""),
        labels=fields.string_map("Labels"),
        stop_signal=fields.get("StopSignal", str, ""),
        healthcheck=None
        if check is None
        else Healthcheck(
            test=check.strings("Test") or (),
            interval=check.get("Interval", int, 0),
            timeout=check.get("Timeout", int, 0),
            start_period=check.get("StartPeriod", int, 0),
            start_interval=check.get("StartInterval", int, 0),
            retries=check.get("Retries", int, 0),
        ),
        onbuild=fields.strings("OnBuild") or (),
        shell=fields.strings("Shell"),
        args_escaped=fields.get("ArgsEscaped", bool, False),
    )
