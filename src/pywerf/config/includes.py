"""werf-includes.yaml and werf-includes.lock: files of other repositories for a project's configuration."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from typing import NoReturn
from urllib.parse import urlsplit

import msgspec

from pywerf.config.werf_yaml.documents import ANY, Document, Schema, Section, read_documents
from pywerf.config.werf_yaml.image_common import read_basic_auth, relative_globs
from pywerf.config.werf_yaml.model import BasicAuth
from pywerf.errors import ConfigError
from pywerf.util.globs import covers

__all__ = [
    "INCLUDES",
    "LOCK",
    "UPDATE",
    "Include",
    "Locked",
    "lock_text",
    "locked_commits",
    "parse_includes",
    "parse_lock",
]

INCLUDES = "werf-includes.yaml"
LOCK = "werf-includes.lock"
UPDATE = f"werf includes update writes {LOCK}, which is to be committed"

_REFS = ("branch", "tag", "commit")
_HEX = frozenset("0123456789abcdef")

_SCHEMA: Schema = {
    "includes": [
        {
            "git": ANY,
            "branch": ANY,
            "tag": ANY,
            "commit": ANY,
            "basicAuth": {"username": ANY, "password": {"env": ANY, "src": ANY, "file": ANY, "value": ANY}},
            "add": ANY,
            "to": ANY,
            "includePaths": ANY,
            "excludePaths": ANY,
        }
    ]
}
_LOCK_SCHEMA: Schema = {"includes": [{"git": ANY, "branch": ANY, "tag": ANY, "commit": ANY}]}


class Include(msgspec.Struct, frozen=True, dict=True):
    """One entry: files below `add` of a repository come below `to` of the project ("" is all of it).

    Exactly one of branch, tag and commit is not empty. `line` is the entry's in the file.
    """

    git: str
    branch: str = ""
    tag: str = ""
    commit: str = ""
    add: str = ""
    to: str = ""
    include_paths: tuple[str, ...] = ()
    exclude_paths: tuple[str, ...] = ()
    basic_auth: BasicAuth | None = None
    line: int = 0

    @property
    def ref(self) -> str:
        """What is asked for at the repository."""
        if self.branch:
            return f"refs/heads/{self.branch}"
        return f"refs/tags/{self.tag}" if self.tag else self.commit

    def filter(self) -> Callable[[str], bool]:
        """A test of paths below `add`."""
        included = covers(self.include_paths) if self.include_paths else None
        excluded = covers(self.exclude_paths)
        return lambda path: (included is None or included(path)) and not excluded(path)


class Locked(msgspec.Struct, frozen=True):
    """An entry of the lock file: the commit that a branch or tag was at."""

    git: str
    commit: str
    branch: str = ""
    tag: str = ""


def parse_includes(text: str, file: str = INCLUDES) -> tuple[Include, ...]:
    """The entries of werf-includes.yaml. Raises ConfigError."""
    return tuple(_include(section) for section in _sections(text, file, _SCHEMA))


def parse_lock(text: str, file: str = LOCK) -> tuple[Locked, ...]:
    """The entries of werf-includes.lock. Raises ConfigError."""
    found: list[Locked] = []
    for section in _sections(text, file, _LOCK_SCHEMA):
        commit = section.required("commit", hint=UPDATE)
        _check_commit(section, commit)
        found.append(Locked(section.required("git"), commit, section.text("branch"), section.text("tag")))
    return tuple(found)


def lock_text(includes: Sequence[Include], commits: Sequence[str]) -> str:
    """The lock file of entries at these commits."""
    from pywerf.config.template.werf_functions import to_yaml

    entries: list[dict[str, str]] = []
    for include, commit in zip(includes, commits, strict=True):
        entry = {"git": include.git, "branch": include.branch, "tag": include.tag, "commit": commit}
        entry = {key: value for key, value in entry.items() if value}
        if entry not in entries:
            entries.append(entry)
    head = "# written by werf includes update; to be committed\n"
    return head + to_yaml({"includes": entries}) + "\n"


def locked_commits(includes: Sequence[Include], locked: Sequence[Locked]) -> tuple[str, ...]:
    """The commits of the entries. Raises ConfigError when the lock file does not match them."""
    by_place = {(entry.git, entry.branch, entry.tag): entry.commit for entry in locked if entry.branch or entry.tag}
    fixed = {(entry.git, entry.commit) for entry in locked if not entry.branch and not entry.tag}
    commits: list[str] = []
    for include in includes:
        if include.commit:
            if (include.git, include.commit) not in fixed:
                _unlocked(include, f"commit {include.commit[:12]}")
            commits.append(include.commit)
            continue
        commit = by_place.get((include.git, include.branch, include.tag))
        if commit is None:
            _unlocked(include, f"branch {include.branch}" if include.branch else f"tag {include.tag}")
        commits.append(commit)
    if len(locked) != len({(include.git, include.branch, include.tag, include.commit) for include in includes}):
        raise ConfigError(f"{LOCK} has entries that {INCLUDES} does not have", hint=UPDATE)
    return tuple(commits)


def _unlocked(include: Include, what: str) -> NoReturn:
    raise ConfigError(f"{INCLUDES}:{include.line}: {LOCK} does not have {what} of {include.git}", hint=UPDATE)


def _sections(text: str, file: str, schema: Schema) -> list[Section]:
    documents = read_documents(text, file)
    if not documents:
        return []
    if len(documents) > 1:
        raise ConfigError(f"{file}: one document is expected, not {len(documents)}")
    document: Document = documents[0]
    top = Section(document, document.root)
    top.check_keys(schema)
    return top.sections("includes")


def _include(section: Section) -> Include:
    git = section.required("git", hint="git: https://HOST/NAME.git")
    if "://" in git and urlsplit(git).password:
        section.fail("git", "a password in the URL would be in the lock file, too", hint="say it with basicAuth")
    given = [key for key in _REFS if section.has(key)]
    if len(given) != 1:
        why = f"{' and '.join(given)} exclude each other" if given else "one of branch, tag and commit is required"
        section.fail(given[1] if given else "git", why)
    commit = section.text("commit")
    if commit:
        _check_commit(section, commit)
    auth = section.section("basicAuth")
    if auth is not None and not git.startswith(("http://", "https://")):
        section.fail("basicAuth", "is for http and https URLs")
    return Include(
        git=git,
        branch=section.text("branch"),
        tag=section.text("tag"),
        commit=commit,
        add=_inside(section, "add"),
        to=_inside(section, "to"),
        include_paths=relative_globs(section, "includePaths"),
        exclude_paths=relative_globs(section, "excludePaths"),
        basic_auth=None if auth is None else read_basic_auth(auth),
        line=section.line,
    )


def _check_commit(section: Section, commit: str) -> None:
    if len(commit) != 40 or not _HEX.issuperset(commit):
        section.fail(
            "commit", f"{commit} is no full commit", hint="40 hexadecimal digits, as git rev-parse prints them"
        )


def _inside(section: Section, key: str) -> str:
    """A directory, with or without a slash before it, as a path below the root."""
    path = posixpath.normpath("/" + section.text(key, "/"))[1:]
    if ".." in section.text(key).split("/"):
        section.fail(key, ".. is not allowed in it")
    return path.lstrip("/")
