"""RUN --device: devices as the Container Device Interface describes them (CDI specification 0.8, SPEC.md).

A device `vendor.com/class=name` is described in a JSON or YAML file in /etc/cdi or /var/run/cdi; the later folder wins.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from pywerf.errors import BuildError
from pywerf.oci.document import json_decoder

__all__ = ["CDI_FOLDERS", "DeviceEdits", "find_device"]

CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")


class DeviceEdits(msgspec.Struct, frozen=True):
    """What a device adds to a container: variables, device nodes and mounts as (host path, path, options)."""

    env: tuple[str, ...] = ()
    nodes: tuple[tuple[str, str], ...] = ()
    mounts: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


class _Node(msgspec.Struct, rename="camel"):
    path: str
    host_path: str = ""


class _Mount(msgspec.Struct, rename="camel"):
    host_path: str
    container_path: str
    options: list[str] = []


class _Edits(msgspec.Struct, rename="camel"):
    env: list[str] = []
    device_nodes: list[_Node] = []
    mounts: list[_Mount] = []
    hooks: list[msgspec.Raw] = []


class _Device(msgspec.Struct, rename="camel"):
    name: str
    container_edits: _Edits = msgspec.field(default_factory=_Edits)


class _Spec(msgspec.Struct, rename="camel"):
    kind: str
    devices: list[_Device] = []
    container_edits: _Edits = msgspec.field(default_factory=_Edits)


def find_device(name: str, folders: Iterable[str] = CDI_FOLDERS) -> DeviceEdits | None:
    """The device of that name, None when no file describes it; `vendor.com/class` alone is its first device.

    Raises BuildError for a file that cannot be read, and for a device that needs hooks, which no container here runs.
    """
    kind, _, wanted = name.partition("=")
    for folder in reversed(tuple(folders)):
        for path in _files(folder):
            spec = _read(path)
            if spec.kind != kind:
                continue
            for device in spec.devices:
                if not wanted or device.name == wanted:
                    return _edits(name, spec.container_edits, device.container_edits)
    return None


def _files(folder: str) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []  # most machines have no such folder
    return [os.path.join(folder, name) for name in names if name.endswith((".json", ".yaml", ".yml"))]


def _read(path: str) -> _Spec:
    try:
        with open(path, "rb") as file:
            data = file.read()
        decoder = json_decoder(_Spec)  # for YAML, too: it makes the type known
        if path.endswith(".json"):
            return decoder.decode(data)
        from msgspec import yaml

        return yaml.decode(data, type=_Spec)
    except OSError as error:
        raise BuildError(f"{path}: {error.strerror}") from error
    except ImportError as error:
        raise BuildError(
            f"{path} is YAML, which needs PyYAML to be read", hint="install it (pip install pyyaml), or write JSON"
        ) from error
    except msgspec.MsgspecError as error:
        raise BuildError(f"{path} is no CDI specification: {error}") from error


def _edits(name: str, *parts: _Edits) -> DeviceEdits:
    if any(part.hooks for part in parts):
        raise BuildError(
            f"device {name}: its CDI specification asks for hooks, which containers of a build do not run",
            hint="write a specification with device nodes and mounts alone",
        )
    return DeviceEdits(
        tuple(item for part in parts for item in part.env),
        tuple((node.host_path or node.path, node.path) for part in parts for node in part.device_nodes),
        tuple((item.host_path, item.container_path, tuple(item.options)) for part in parts for item in part.mounts),
    )
