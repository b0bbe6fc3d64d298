"""Reading one registries.conf file: TOML, checked field by field; complaints name file and line."""

from __future__ import annotations

import re
from typing import Any, cast

from pywerf.errors import InvalidReference, RegistryConfigError
from pywerf.oci.reference import Reference
from pywerf.registry.registries_conf import Mirror, PullFromMirror, Registries, Registry, ShortNameMode

__all__ = ["merge", "read_registries"]


def merge(base: Registries, over: Registries) -> Registries:
    """`base` with what a later file says: whole entries of the same prefix, lists and aliases are replaced."""
    registries = {registry.prefix: registry for registry in base.registries}
    registries.update((registry.prefix, registry) for registry in over.registries)
    return Registries(
        registries=tuple(registries.values()),
        search=base.search if over.search is None else over.search,
        aliases={**base.aliases, **over.aliases},
        short_name_mode=over.short_name_mode or base.short_name_mode,
        credential_helpers=over.credential_helpers or base.credential_helpers,
    )


def read_registries(path: str) -> Registries:
    """Read one file. Raises RegistryConfigError."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise RegistryConfigError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    import tomllib

    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise RegistryConfigError(f"{path}:{data[: error.start].count(10) + 1}: not UTF-8") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(path, text, str(error)) from error
    return _File(path, text).read(document)


def _syntax(path: str, text: str, message: str) -> RegistryConfigError:
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = int(found[1]) if found and found[1] else text.count("\n") + 1
    message = message[: found.start()] if found else message
    return RegistryConfigError(f"{path}:{line}: {message[:1].lower()}{message[1:]}", hint="the file is in TOML")


class _File:
    """One file while it is read. Tables of the TOML parser have no lines: they are looked up in the text."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.lines = text.splitlines()

    def read(self, document: dict[str, Any]) -> Registries:
        if "registries" in document:
            if "registry" in document or "unqualified-search-registries" in document:
                raise self.error("registries", "versions 1 and 2 of the format are mixed", hint="write version 2 alone")
            return self.version_1(document["registries"])
        items = document.get("registry", [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self.error("registry", "registry is no array of tables", hint="write [[registry]]")
        search = self.strings(document, "unqualified-search-registries", 0)
        for place in search or ():
            self.place(place, "unqualified-search-registries", 0)
        mode = self.string(document, "short-name-mode", 0)
        if mode and mode not in ("enforcing", "permissive", "disabled"):
            raise self.error(
                "short-name-mode", f"short-name-mode is {mode!r}", hint="enforcing, permissive or disabled"
            )
        return Registries(
            registries=tuple(self.registry(item, number) for number, item in enumerate(items)),
            search=search,
            aliases=self.aliases(document),
            short_name_mode=cast(ShortNameMode, mode) if mode else None,
            credential_helpers=self.strings(document, "credential-helpers", 0) or (),
        )

    def registry(self, item: dict[str, Any], number: int) -> Registry:
        line = self.header("[[registry]]", number)
        prefix = self.string(item, "prefix", line).rstrip("/")
        location = self.string(item, "location", line).rstrip("/")
        if not prefix and not location:
            raise self.error("", "the registry has neither prefix nor location", line)
        if prefix.startswith("*."):
            self.place(prefix[2:], "prefix", line)
        elif prefix:
            self.place(prefix, "prefix", line)
        if location:
            self.place(location, "location", line)
        elif prefix.startswith("*."):
            location = ""
        mirrors = item.get("mirror", [])
        if not isinstance(mirrors, list) or not all(isinstance(mirror, dict) for mirror in mirrors):
            raise self.error("mirror", "mirror is no array of tables", line, hint="write [[registry.mirror]]")
        only = self.boolean(item, "mirror-by-digest-only", line)
        read = tuple(self.mirror(mirror, line) for mirror in mirrors)
        if only and any(mirror.pull_from != "all" for mirror in read):
            raise self.error("pull-from-mirror", "pull-from-mirror with mirror-by-digest-only", line, hint="use one")
        return Registry(
            prefix=prefix or location,
            location=location,
            insecure=self.boolean(item, "insecure", line),
            blocked=self.boolean(item, "blocked", line),
            mirrors=read,
            mirror_by_digest_only=only,
            origin=f"{self.path}:{line}",
        )

    def mirror(self, item: dict[str, Any], line: int) -> Mirror:
        location = self.string(item, "location", line).rstrip("/")
        if not location:
            raise self.error("[[registry.mirror]]", "the mirror has no location", line)
        self.place(location, "location", line)
        rule = self.string(item, "pull-from-mirror", line) or "all"
        if rule not in ("all", "digest-only", "tag-only"):
            raise self.error(
                "pull-from-mirror", f"pull-from-mirror is {rule!r}", line, hint="all, digest-only, tag-only"
            )
        return Mirror(location, self.boolean(item, "insecure", line), cast(PullFromMirror, rule))

    def aliases(self, document: dict[str, Any]) -> dict[str, str]:
        table = document.get("aliases", {})
        if not isinstance(table, dict) or not all(isinstance(item, str) for item in table.values()):
            raise self.error("[aliases]", "aliases is no table of strings")
        for short, full in table.items():
            try:
                name, target = Reference.parse(short), Reference.parse(full) if full else None
            except InvalidReference as error:
                raise self.error(short, error.message) from error
            if name.host or name.tag or name.digest:
                raise self.error(short, f"alias {short!r} is no short name", hint="no registry, no tag")
            if target is not None and (not target.host or target.tag or target.digest):
                raise self.error(short, f"alias {short!r} stands for {full!r}", hint="write REGISTRY/NAME, no tag")
        return dict(table)

    def version_1(self, table: object) -> Registries:
        """The old format: `[registries.search]`, `.insecure` and `.block`, each with a list `registries`."""
        if not isinstance(table, dict):
            raise self.error("registries", "registries is no table")
        lists: dict[str, tuple[str, ...]] = {}
        for kind in ("search", "insecure", "block"):
            part = table.get(kind, {})
            if not isinstance(part, dict):
                raise self.error(f"registries.{kind}", f"registries.{kind} is no table")
            line = self.header(f"[registries.{kind}]", 0)
            lists[kind] = self.strings(part, "registries", line) or ()
            for place in lists[kind]:
                self.place(place, "registries", line)
        places = dict.fromkeys((*lists["insecure"], *lists["block"]))
        return Registries(
            registries=tuple(
                Registry(
                    place,
                    place,
                    insecure=place in lists["insecure"],
                    blocked=place in lists["block"],
                    origin=f"{self.path}:{self.find(place, 0)}",
                )
                for place in places
            ),
            search=lists["search"] or None,
        )

    def place(self, text: str, key: str, line: int) -> None:
        """Check a `HOST[:PORT][/PATH…]`."""
        if "://" in text:
            raise self.error(key, f"{key} {text!r} has a scheme", line, hint="write HOST[:PORT][/PATH]; see insecure")
        host, slash, path = text.partition("/")
        try:
            Reference.parse(f"{host}/{path or 'x'}" if _is_host(host) else f"{host}:0/{path or 'x'}")
        except InvalidReference as error:
            raise self.error(key, f"{key} {text!r} is no place in a registry", line) from error
        if slash and not path:
            raise self.error(key, f"{key} {text!r} is no place in a registry", line)

    def string(self, table: dict[str, Any], key: str, line: int) -> str:
        value = table.get(key, "")
        if not isinstance(value, str):
            raise self.error(key, f"{key} is no string", line)
        return value

    def boolean(self, table: dict[str, Any], key: str, line: int) -> bool:
        value = table.get(key, False)
        if not isinstance(value, bool):
            raise self.error(key, f"{key} is neither true nor false", line)
        return value

    def strings(self, table: dict[str, Any], key: str, line: int) -> tuple[str, ...] | None:
        value = table.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(key, f"{key} is no list of strings", line)
        return tuple(value)

    def header(self, header: str, number: int) -> int:
        """The line (from 1) of the `number`-th table with this header; 1 when it is written in another way."""
        lines = [index for index, line in enumerate(self.lines, 1) if line.replace(" ", "").startswith(header)]
        return lines[number] if number < len(lines) else 1

    def find(self, key: str, line: int) -> int:
        for index in range(max(line - 1, 0), len(self.lines)):
            text = self.lines[index].partition("#")[0]
            if key and key in text:
                return index + 1
        return max(line, 1)

    def error(self, key: str, message: str, line: int = 0, *, hint: str | None = None) -> RegistryConfigError:
        return RegistryConfigError(f"{self.path}:{self.find(key, line)}: {message}", hint=hint)


def _is_host(text: str) -> bool:
    return "." in text or ":" in text or text == "localhost"
