"""Reads the values of flags: pairs, platforms, outputs, registries' flags. Errors name the flag."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pywerf.build.options import Output, RegistryOptions
from pywerf.cli.declare import COUNT, flag, switch
from pywerf.errors import InvalidPlatform, UsageError, WerfError
from pywerf.oci.platform import Platform, host_platform

__all__ = [
    "CONNECTORS",
    "OUTPUT_TYPES",
    "VOLUME_MARGIN",
    "VOLUME_USAGE",
    "bad_value",
    "grant_flags",
    "labels",
    "network",
    "network_flag",
    "optional_pairs",
    "outputs",
    "pairs",
    "platform_flags",
    "platforms",
    "registry_flags",
    "registry_options",
    "seconds",
    "volume_flags",
]

F = TypeVar("F", bound=Callable[..., Any])

VOLUME_USAGE, VOLUME_MARGIN = "70", "5"  # percent
OUTPUT_TYPES = ("docker", "image", "local", "oci", "registry", "tar")


def bad_value(name: str, value: str, why: str, hint: str | None = None) -> WerfError:
    """A UsageError that shows the flag and the value as they were written."""
    return UsageError(f"{name} {value}: {why}" if value else f"{name}: {why}", hint=hint)


def pairs(name: str, values: Sequence[str], example: str) -> tuple[tuple[str, str], ...]:
    """`key=value` each; a value without `=` or with an empty key is a UsageError."""
    out = []
    for value in values:
        key, equals, rest = value.partition("=")
        if not equals or not key:
            raise bad_value(name, value, "expected KEY=VALUE", hint=f"for instance {name} {example}")
        out.append((key, rest))
    return tuple(out)


def labels(name: str, values: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """`key=value` or `key`, which stands for an empty value."""
    out = []
    for value in values:
        key, _, rest = value.partition("=")
        if not key:
            raise bad_value(name, value, "the key is empty", hint=f"for instance {name} version=1.2")
        out.append((key, rest))
    return tuple(out)


def optional_pairs(name: str, values: Sequence[str]) -> tuple[tuple[str, str | None], ...]:
    """`key=value`, or `key` alone (None): its value is that of the environment."""
    out: list[tuple[str, str | None]] = []
    for value in values:
        key, equals, rest = value.partition("=")
        if not key:
            raise bad_value(name, value, "the name is empty", hint=f"for instance {name} VERSION=1.2")
        out.append((key, rest if equals else None))
    return tuple(out)


def seconds(name: str, text: str) -> float | None:
    """A duration as Go writes it (`1h30m`, `0`) in seconds; None for an empty text. Raises UsageError."""
    if not text:
        return None
    from pywerf.errors import DockerfileError
    from pywerf.frontend.dockerfile.gotext import parse_duration

    try:
        duration = parse_duration(text)
    except DockerfileError as error:
        raise bad_value(name, text, error.message, hint="write for instance 90m or 1h30m") from error
    if duration < 0:
        raise bad_value(name, text, "a duration must not be negative")
    return duration / 1e9


# Programs that connect a private network; buildah has their names for it too.
CONNECTORS = ("pasta", "slirp4netns")


def network_flag(function: F) -> F:
    """`--network`."""
    return flag(
        "--network",
        "--net",
        metavar="MODE",
        help="Network of containers: host (default), none, private (also pasta or slirp4netns) or ns:PATH.",
    )(function)


def network(mode: str) -> str:
    """The mode of `--network`; "" for the default one. Raises UsageError for what nobody knows.

    `ns:PATH` is private, as are the names of what connects such a network: both are among the namespaces (see
    `cli.container_flags`).
    """
    if mode.startswith("ns:") or mode in CONNECTORS:
        return "private"
    if mode not in ("", "default", "host", "none", "private"):
        raise bad_value("--network", mode, "unknown network", hint=_NETWORKS)
    return "" if mode == "default" else mode


_NETWORKS = "it is one of host, none, private, pasta, slirp4netns, ns:PATH"


def outputs(values: Sequence[str]) -> tuple[Output, ...]:
    """`type=TYPE[,dest=PATH|,name=NAME][,key=value…]`, or a path (a folder), or `-` (a tar on stdout)."""
    return tuple(map(_output, values))


def _output(value: str) -> Output:
    if value == "-":
        return Output("tar", "-")
    if "=" not in value:
        if not value:
            raise bad_value("--output", value, "the destination is empty", hint="write type=local,dest=DIR")
        return Output("local", value)
    attributes: dict[str, str] = {}
    for item in value.split(","):
        key, equals, rest = item.partition("=")
        key = key.strip().lower()
        if not equals or not key:
            raise bad_value("--output", value, f"{item!r} is not KEY=VALUE", hint="write type=oci,dest=FILE")
        if key in attributes:
            raise bad_value("--output", value, f"{key} is given twice")
        attributes[key] = rest
    kind = attributes.pop("type", "")
    if kind not in OUTPUT_TYPES:
        why = f"unknown type {kind!r}" if kind else "type is missing"
        raise bad_value("--output", value, why, hint=f"the types are {', '.join(OUTPUT_TYPES)}")
    dest = attributes.pop("dest", "")
    if kind in ("image", "registry"):
        dest = attributes.pop("name", dest)  # without one the names of --tag count
    elif not dest:
        if kind == "local":
            raise bad_value("--output", value, "dest is missing", hint="write type=local,dest=DIR")
        dest = "-"
    if kind == "local" and dest == "-":
        raise bad_value("--output", value, "a folder cannot be written to stdout", hint="write type=tar,dest=-")
    return Output(kind, dest, attributes)


def platform_flags(function: F) -> F:
    """`--platform`, `--os`, `--arch`, `--variant`."""
    for add in (
        flag("--variant", metavar="VARIANT", help="Variant of the architecture, for instance v7."),
        flag("--arch", metavar="ARCH", help="Architecture instead of this machine's."),
        flag("--os", metavar="OS", help="Operating system instead of this machine's."),
        flag("--platform", multiple=True, split=True, metavar="OS/ARCH[/VARIANT]", help="Platform, or several."),
    ):
        function = add(function)
    return function


def platforms(platform: Sequence[str], os: str, arch: str, variant: str) -> tuple[Platform, ...]:
    """The platforms that the four flags ask for; () when none of them is given."""
    if platform and (os or arch or variant):
        raise UsageError("--platform and --os, --arch, --variant cannot be used together")
    host = host_platform()
    try:
        if os or arch or variant:
            if not arch and not variant:
                return (Platform.of(os, host.architecture, host.variant),)
            return (Platform.of(os or host.os, arch or host.architecture, variant),)
        return tuple(host if text == "local" else Platform.parse(text) for text in platform)
    except InvalidPlatform as error:
        raise UsageError(f"--platform: {error.message}", hint=error.hint) from error


def volume_flags(function: F) -> F:
    """`--allowed-backend-storage-volume-usage` and its margin."""
    name, old = "--allowed-backend-storage-volume-usage", "--allowed-docker-storage-volume-usage"
    for add in (
        flag(
            f"{name}-margin",
            f"{old}-margin",
            default=VOLUME_MARGIN,
            env=("WERF_ALLOWED_DOCKER_STORAGE_VOLUME_USAGE_MARGIN",),
            metavar="PERCENT|SIZE",
            help="How far below that cleanups go.",
        ),
        flag(
            name,
            old,
            default=VOLUME_USAGE,
            env=("WERF_ALLOWED_DOCKER_STORAGE_VOLUME_USAGE",),
            metavar="PERCENT|SIZE",
            help="How full the volume of the images may be.",
        ),
    ):
        function = add(function)
    return function


def grant_flags(function: F) -> F:
    """`--secret`, `--ssh`: what a RUN may use while it runs."""
    for add in (
        flag(
            "--ssh",
            multiple=True,
            not_env=("WERF_SSH_KEY",),
            metavar="ID[=SOCKET|KEY,…]",
            help="SSH agent, or keys, for RUN --mount=type=ssh.",
        ),
        flag(
            "--secret",
            "secrets",
            multiple=True,
            not_env=("WERF_SECRET_KEY", "WERF_SECRET_VALUES"),
            metavar="id=ID,src=FILE|env=NAME",
            help="Secret for RUN --mount=type=secret.",
        ),
    ):
        function = add(function)
    return function


def registry_flags(function: F) -> F:
    """`--tls-verify`, `--authfile`, `--creds`, `--cert-dir`, `--retry`, `--retry-delay`."""
    for add in (
        flag(
            "--retry-delay",
            metavar="DURATION",
            help="How long to wait before that (5s). By default longer each time, from half a second on.",
        ),
        flag("--retry", type=COUNT, default=3, metavar="N", help="How often a failed request is repeated."),
        flag("--cert-dir", metavar="DIR", help="Directory with certificates and keys for the registry."),
        flag("--creds", metavar="USER[:PASSWORD]", help="Credentials for the registry."),
        flag("--authfile", metavar="FILE", env=("REGISTRY_AUTH_FILE",), help="File with registries' credentials."),
        switch("--tls-verify", default=None, help="Require HTTPS and a valid certificate (true by default)."),
    ):
        function = add(function)
    return function


def registry_options(
    tls_verify: bool | None,
    authfile: str,
    creds: str,
    cert_dir: str,
    retry: int,
    retry_delay: str,
    secrets: list[str],
) -> RegistryOptions:
    """The values of `registry_flags`. A missing password is asked for on the terminal; it joins `secrets`."""
    if creds and ":" not in creds:
        creds = f"{creds}:{ask_password(f'Password for {creds}: ')}"
    if creds:
        if creds.startswith(":"):
            raise UsageError("--creds: the user name is empty", hint="write --creds USER:PASSWORD")
        secrets.append(creds.partition(":")[2])
    return RegistryOptions(
        tls_verify=tls_verify,
        authfile=authfile,
        creds=creds,
        cert_dir=cert_dir,
        retries=retry,
        retry_delay=seconds("--retry-delay", retry_delay),
    )


def ask_password(prompt: str) -> str:
    """A password typed on the terminal. Raises UsageError where there is none to ask on."""
    import getpass
    import sys

    if not sys.stdin.isatty():
        raise UsageError("the password is missing", hint="there is no terminal to ask for it on")
    return getpass.getpass(prompt, stream=sys.stderr)
