"""What the command line asks of a build: frozen values, parsed once at the border."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from pywerf.isolation.spec import Device, Namespaces, Resources
from pywerf.oci.media_types import ImageFormat
from pywerf.oci.platform import Platform

if TYPE_CHECKING:
    from pywerf.backend.shells import State

__all__ = ["BuildOptions", "ContainerOptions", "EngineOptions", "Output", "PullPolicy", "RegistryOptions"]

PullPolicy = Literal["always", "missing", "newer", "never"]


class RegistryOptions(msgspec.Struct, frozen=True):
    """How registries are talked to. `tls_verify` None: verified, loopback registries may be plain HTTP.

    `retry_delay` are the seconds between attempts; None: ever more.
    """

    tls_verify: bool | None = None
    authfile: str = ""
    creds: str = ""  # USER[:PASSWORD]
    cert_dir: str = ""
    retries: int = 3
    retry_delay: float | None = None
    mirrors: tuple[str, ...] = ()  # of docker.io: HOST[/PATH]


class EngineOptions(msgspec.Struct, frozen=True):
    """The embedded engine: where its store is and how it isolates. Empty: decided at start."""

    root: str = ""
    mode: str = ""
    storage_driver: str = ""
    storage_opts: tuple[str, ...] = ()
    ulimits: tuple[str, ...] = ()
    isolation: str = ""
    runtime: str = ""  # an OCI runtime, by name or path
    runtime_flags: tuple[str, ...] = ()
    keep_bundles: bool = False  # of containers that an OCI runtime could not start
    registry: RegistryOptions = RegistryOptions()
    introspect: tuple[State, ...] = ()  # shells that are opened when a command fails, in this order


class Output(msgspec.Struct, frozen=True):
    """One `--output`: `type` oci, docker, tar, local, registry or image; `dest` a path (`-`: stdout) or a name."""

    type: str
    dest: str = ""
    attributes: dict[str, str] = {}


class ContainerOptions(msgspec.Struct, frozen=True):
    """What is asked of every container, by flags that `build` and `run` share.

    `seccomp` is `unconfined`, a file, or empty; `labels` are SELinux options (`type:NAME`, `disable`);
    `dns_servers` ("none",), `hosts` and `hostname` false leave the image's files alone. `groups` are names and numbers.
    """

    resources: Resources = Resources()
    cgroup_parent: str = ""
    namespaces: Namespaces = Namespaces()
    devices: tuple[Device, ...] = ()
    seccomp: str = ""
    apparmor: str = ""
    labels: tuple[str, ...] = ()
    no_new_privileges: bool = False
    dns_servers: tuple[str, ...] = ()
    dns_searches: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    hosts: bool = True
    hostname: bool = True
    groups: tuple[str, ...] = ()


class BuildOptions(msgspec.Struct, frozen=True):
    """One `build` command. Order in tuples is the order of the flags.

    `context` is as written: a folder, `-` (a tar on stdin), an http(s) tarball, a git URL, or empty
    (no context). `files` are Dockerfiles as written (`-`: stdin); () looks for Containerfile or
    Dockerfile in the context. Pairs are (key, value); a `build_args` value None is taken from the
    environment, and left out when it is not there.
    """

    context: str = ""
    files: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    build_args: tuple[tuple[str, str | None], ...] = ()
    build_contexts: tuple[tuple[str, str], ...] = ()
    target: str = ""
    base: str = ""  # instead of the image of the first FROM
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    env: tuple[tuple[str, str | None], ...] = ()
    unset_env: tuple[str, ...] = ()
    inherit_labels: bool = True
    unset_labels: tuple[str, ...] = ()
    inherit_annotations: bool = True
    unset_annotations: tuple[str, ...] = ()
    add_hosts: tuple[str, ...] = ()
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()  # names of stages
    cache_ttl: float | None = None  # seconds; 0: as no_cache
    cache_from: tuple[str, ...] = ()  # as written
    cache_to: tuple[str, ...] = ()
    layers: bool = True
    squash: bool = False
    omit_history: bool = False
    pull: PullPolicy = "missing"
    platforms: tuple[Platform, ...] = ()
    all_platforms: bool = False  # those of the base images, whatever `platforms` says
    timestamp: int | None = None  # seconds since 1970; clamps times, as --timestamp
    source_date_epoch: int | None = None
    rewrite_timestamp: bool = False  # clamps times to source_date_epoch
    image_format: ImageFormat = "oci"
    compress_layers: bool = False  # in the store: buildah's --disable-compression=false
    os_version: str = ""  # instead of the base's
    os_features: tuple[str, ...] = ()  # beside the base's; `NAME-` takes one away
    outputs: tuple[Output, ...] = ()
    iidfile: str = ""
    ignorefile: str = ""
    cpp_flags: tuple[str, ...] = ()  # for Dockerfiles named .in
    quiet: bool = False
    http_proxy: bool = True  # commands see the proxy variables of this process
    explain: bool = False
    checks: bool = True  # tell what the build checks find
    metadata_file: str = ""
    jobs: int = 0  # 0: one a core, at least four
    network: str = ""
    allow: tuple[str, ...] = ()  # entitlements: network.host, security.insecure, device[=NAME]
    secrets: tuple[str, ...] = ()  # id=…,src=…|env=… as written
    ssh: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    ulimits: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    hooks_dirs: tuple[str, ...] = ()
    stdin: bool = False  # RUN reads what this process could
    shm_size: int = 0
    container: ContainerOptions = ContainerOptions()
    manifest: str = ""  # the list that the images join

    @property
    def clamp(self) -> int | None:
        """The latest time that a file of a new layer may have, in seconds since 1970; None: any."""
        if self.timestamp is not None:
            return self.timestamp
        return self.source_date_epoch if self.rewrite_timestamp else None
