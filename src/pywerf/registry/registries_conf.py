"""registries.conf, version 2 (containers-registries.conf(5)): where a reference is really looked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from pywerf.errors import InvalidReference, RegistryConfigError
from pywerf.oci.reference import DEFAULT_REGISTRY, Reference

__all__ = ["Endpoint", "Mirror", "Registries", "Registry", "ShortNameMode", "load_registries"]

ShortNameMode = Literal["enforcing", "permissive", "disabled"]
PullFromMirror = Literal["all", "digest-only", "tag-only"]


class Mirror(msgspec.Struct, frozen=True):
    """One `[[registry.mirror]]`."""

    location: str
    insecure: bool = False
    pull_from: PullFromMirror = "all"


class Registry(msgspec.Struct, frozen=True):
    """One `[[registry]]`: what its prefix matches is at `location`; `origin` is FILE:LINE, for messages."""

    prefix: str
    location: str = ""
    insecure: bool = False
    blocked: bool = False
    mirrors: tuple[Mirror, ...] = ()
    mirror_by_digest_only: bool = False
    origin: str = ""

    def matched(self, name: str) -> int:
        """How many characters of a reference the prefix covers; -1 when it does not match."""
        if self.prefix.startswith("*."):
            end = name.find(self.prefix[1:])
            if end < 0 or "/" in name[:end] or ":" in name[:end]:
                return -1
            end += len(self.prefix) - 1
        elif name.startswith(self.prefix):
            end = len(self.prefix)
        else:
            return -1
        return end if end == len(name) or name[end] in "/:@" else -1


class Endpoint(msgspec.Struct, frozen=True):
    """One place to ask: `reference` as it is called there."""

    reference: Reference
    insecure: bool = False
    mirror: bool = False

    @property
    def host(self) -> str:
        """`name[:port]` of the registry."""
        return self.reference.host

    @property
    def repository(self) -> str:
        """The path in the registry."""
        return self.reference.repository


class Registries(msgspec.Struct, frozen=True):
    """The whole configuration. `aliases` map short names to full ones without tag ("" unsets an alias)."""

    registries: tuple[Registry, ...] = ()
    search: tuple[str, ...] | None = None
    aliases: dict[str, str] = {}
    short_name_mode: ShortNameMode | None = None  # permissive when no file says otherwise
    credential_helpers: tuple[str, ...] = ()

    def find(self, reference: Reference) -> Registry | None:
        """The entry whose prefix fits a full reference best."""
        name = str(reference)
        best: Registry | None = None
        for registry in self.registries:
            if registry.matched(name) >= 0 and (best is None or len(registry.prefix) > len(best.prefix)):
                best = registry
        return best

    def with_mirrors(self, locations: Sequence[str]) -> Registries:
        """The same with more mirrors of docker.io, which are tried before those that it has."""
        if not locations:
            return self
        more = tuple(Mirror(location) for location in locations)
        changed = [
            msgspec.structs.replace(one, mirrors=(*more, *one.mirrors)) if one.prefix == DEFAULT_REGISTRY else one
            for one in self.registries
        ]
        if changed == list(self.registries):
            changed.append(Registry(DEFAULT_REGISTRY, mirrors=more))
        return msgspec.structs.replace(self, registries=tuple(changed))

    def resolve(self, reference: Reference) -> tuple[Endpoint, ...]:
        """Where to pull a full reference from, in the order to try: mirrors first, the registry itself last.

        Raises RegistryConfigError for a blocked registry.
        """
        registry = self._usable(reference)
        if registry is None:
            return (Endpoint(reference),)
        out = []
        by_digest = reference.digest is not None
        for mirror in registry.mirrors:
            rule = "digest-only" if registry.mirror_by_digest_only else mirror.pull_from
            if rule == "all" or by_digest == (rule == "digest-only"):
                where = self._rewritten(reference, registry, mirror.location)
                out.append(Endpoint(where, mirror.insecure, mirror=True))
        out.append(Endpoint(self._rewritten(reference, registry, registry.location), registry.insecure))
        return tuple(out)

    def resolve_push(self, reference: Reference) -> Endpoint:
        """Where to push a full reference to: never a mirror. Raises RegistryConfigError for a blocked registry."""
        registry = self._usable(reference)
        if registry is None:
            return Endpoint(reference)
        return Endpoint(self._rewritten(reference, registry, registry.location), registry.insecure)

    def candidates(self, reference: Reference) -> tuple[Reference, ...]:
        """What a short name may stand for, in the order to try; a full name stands for itself.

        An alias decides alone; then come the search registries; docker.io when none are configured.
        Raises RegistryConfigError where `short-name-mode` forbids to guess.
        """
        if reference.host:
            return (reference,)
        if self.short_name_mode != "disabled":
            alias = self.aliases.get(reference.repository, "")
            if alias:
                full = Reference.parse(alias)
                return (Reference(full.host, full.repository, reference.tag, reference.digest),)
        search = self.search or (DEFAULT_REGISTRY,)
        if self.short_name_mode == "enforcing" and len(search) > 1:
            raise RegistryConfigError(
                f"{reference}: the short name may mean several images, and short-name-mode is enforcing",
                hint="write one of " + ", ".join(str(_under(reference, place)) for place in search),
            )
        return tuple(_under(reference, place) for place in search)

    def _usable(self, reference: Reference) -> Registry | None:
        registry = self.find(reference)
        if registry is not None and registry.blocked:
            raise RegistryConfigError(
                f"{reference}: the registry is blocked by {registry.origin}", hint="remove `blocked`, or use another"
            )
        return registry

    def _rewritten(self, reference: Reference, registry: Registry, location: str) -> Reference:
        if not location or location == registry.prefix:
            return reference
        name = location + str(reference)[registry.matched(str(reference)) :]
        try:
            return Reference.parse(name)
        except InvalidReference as error:
            raise RegistryConfigError(
                f"{registry.origin}: {reference} is rewritten to {name}, which is no reference: {error.message}"
            ) from error


def _under(reference: Reference, place: str) -> Reference:
    """A short name in a search registry, which may have a path: `quay.io/centos`."""
    host, _, path = place.partition("/")
    if path:
        return Reference(host, f"{path}/{reference.repository}", reference.tag, reference.digest)
    return reference.with_host(host)


def load_registries(environ: Mapping[str, str]) -> Registries:
    """Read the configuration of this user.

    $CONTAINERS_REGISTRIES_CONF alone when it is set; else the first of ~/.config/containers/registries.conf
    and /etc/containers/registries.conf, then the `*.conf` files of /etc/containers/registries.conf.d and of
    the user's own, in the order of their names, each of which may replace what was read before. Last the
    user's recorded aliases (~/.cache/containers/short-name-aliases.conf). Raises RegistryConfigError.
    """
    from pywerf.registry.registries_file import merge, read_registries

    home = environ.get("HOME", "")
    configs = environ.get("XDG_CONFIG_HOME", "") or (os.path.join(home, ".config") if home else "")
    caches = environ.get("XDG_CACHE_HOME", "") or (os.path.join(home, ".cache") if home else "")
    files: list[str] = []
    named = environ.get("CONTAINERS_REGISTRIES_CONF", "")
    if named:
        if not os.path.exists(named):
            raise RegistryConfigError(f"{named}: no such file", hint="CONTAINERS_REGISTRIES_CONF names it")
        files.append(named)
    else:
        bases = [os.path.join(folder, "registries.conf") for folder in _folders(configs)]
        files += [base for base in bases if os.path.exists(base)][:1]
        for folder in reversed(_folders(configs)):
            files += _drop_ins(os.path.join(folder, "registries.conf.d"))
    if caches:
        recorded = os.path.join(caches, "containers/short-name-aliases.conf")
        files += [recorded] if os.path.exists(recorded) else []
    out = Registries()
    for path in files:
        out = merge(out, read_registries(path))
    return out


def _folders(configs: str) -> list[str]:
    return [*([os.path.join(configs, "containers")] if configs else []), "/etc/containers"]


def _drop_ins(folder: str) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return [os.path.join(folder, name) for name in names if name.endswith(".conf")]
