"""Git URLs as build contexts and ADD sources name them (BuildKit, dfgitutil), and which text is one."""

from __future__ import annotations

import msgspec

from pywerf.errors import InvalidValue

__all__ = ["GitUrl", "is_git_url", "is_http_url", "parse_git_url", "redact", "with_wishes"]

_SCHEMES = ("http", "https", "ssh", "git")
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_SCP_USER = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_SCP_HOST = _SCP_USER | frozenset(".")


class GitUrl(msgspec.Struct, frozen=True):
    """A git repository, and what is wanted of it.

    `remote` is what a git client is given: no fragment, no query; a userinfo stays (never show it, see `redact`).
    `ref` is a branch, a tag, a full name (`refs/…`) or a commit, empty: the default branch. `subdir` is relative,
    without `.` and `..`; empty: the whole tree. `checksum` is the commit (or its beginning) that `ref` must be.
    None for `keep_git_dir` and `submodules`: the URL says nothing of it.
    """

    remote: str
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keep_git_dir: bool | None = None
    submodules: bool | None = None

    @property
    def name(self) -> str:
        """The last name of the remote without `.git`, as a clone would be called."""
        return self.remote.rstrip("/").replace(":", "/").rpartition("/")[2].removesuffix(".git")


def is_git_url(text: str, *, local: bool = False) -> bool:
    """Whether a context, or the source of an ADD, is a git repository.

    `git://`, `ssh://`, `user@host:path` and `github.com/…` are; `http(s)://` when its path ends in `.git`. With
    `local`, `file://` too: for what the user names, never for what a Dockerfile says.
    """
    if text.startswith(("./", "../")):
        return False
    scheme, separator, rest = text.partition("://")
    if separator and scheme.isalnum():
        scheme = scheme.lower()
        if scheme in ("http", "https"):
            path = rest.partition("#")[0].partition("?")[0]
            return path.endswith(".git") and "/" in path
        return scheme in ("git", "ssh") or (local and scheme == "file")
    return text.startswith("github.com/") or _split_scp(text) is not None


def is_http_url(text: str) -> bool:
    """Whether a context, or the source of an ADD, is a file on a web server: `http(s)://` and not git's."""
    return text.lower().startswith(("http://", "https://")) and not is_git_url(text)


def parse_git_url(text: str, *, local: bool = False) -> GitUrl:
    """Read what `is_git_url` knows: `REMOTE[?key=value&…][#REF[:SUBDIR]]`.

    The keys are branch, tag, ref, subdir, commit, checksum, keep-git-dir and submodules. Raises InvalidValue.
    """
    if not is_git_url(text, local=local):
        raise InvalidValue(
            f"{redact(text)}: not a git URL",
            hint="git URLs look like https://HOST/NAME.git#BRANCH:FOLDER, git@HOST:NAME or ssh://HOST/NAME",
        )
    remote, _, fragment = text.partition("#")
    remote, _, query = remote.partition("?")
    if remote.startswith("github.com/"):
        remote = f"https://{remote}"
    if remote.lower().startswith("file://") and not remote[7:].startswith("/"):
        raise InvalidValue(f"{text}: a file URL has an absolute path: file:///srv/name.git")
    ref, _, subdir = fragment.partition(":")
    return _with_query(text, GitUrl(remote, ref=ref, subdir=subdir), query)


def with_wishes(text: str, *, keep_git_dir: bool | None = None, checksum: str = "") -> str:
    """The URL with what ADD's flags say in its query. Raises InvalidValue where the URL says something else."""
    url = parse_git_url(text)
    shown = redact(text)
    wishes = []
    if keep_git_dir is not None:
        if url.keep_git_dir not in (None, keep_git_dir):
            raise InvalidValue(f"{shown}: inconsistent keep-git-dir configuration")
        if url.keep_git_dir is None:
            wishes.append(f"keep-git-dir={'true' if keep_git_dir else 'false'}")
    if checksum:
        if url.checksum not in ("", checksum):
            raise InvalidValue(f"{shown}: checksum mismatch {checksum!r} != {url.checksum!r}")
        if not url.checksum:
            wishes.append(f"checksum={checksum}")
    if not wishes:
        return text
    remote, hash, fragment = text.partition("#")
    return f"{remote}{'&' if '?' in remote else '?'}{'&'.join(wishes)}{hash}{fragment}"


def redact(url: str) -> str:
    """The URL as it may be shown: a password, and a user name that may be a token, become `xxxxx`."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    authority, slash, path = rest.partition("/")
    userinfo, at, host = authority.rpartition("@")
    if not at:
        return url
    user, colon, _ = userinfo.partition(":")
    if scheme.lower() in ("ssh", "git"):
        return f"{scheme}://{user}{':xxxxx' if colon else ''}@{host}{slash}{path}"
    return f"{scheme}://{f'{user}:xxxxx' if colon and user else 'xxxxx'}@{host}{slash}{path}"


def _split_scp(text: str) -> tuple[str, str, str] | None:
    """(user, host, path) of `user@host:path`."""
    user, at, rest = text.partition("@")
    host, colon, path = rest.partition(":")
    if at and colon and user and host and _SCP_USER.issuperset(user) and _SCP_HOST.issuperset(host):
        return user, host, path
    return None


def _with_query(text: str, url: GitUrl, query: str) -> GitUrl:
    from urllib.parse import parse_qsl

    shown = redact(text)
    values: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key in values:
            raise InvalidValue(f"{shown}: {key!r} is given more than once")
        if not value and key not in ("submodules", "keep-git-dir"):
            raise InvalidValue(f"{shown}: {key!r} has no value")
        values[key] = value
    ref, subdir, checksum = url.ref, url.subdir, ""
    keep_git_dir, submodules = url.keep_git_dir, url.submodules
    if "tag" in values and "branch" in values:
        raise InvalidValue(f"{shown}: branch and tag exclude each other")
    for key, value in values.items():
        if key in ("ref", "tag", "branch"):
            prefix = {"ref": "", "tag": "refs/tags/", "branch": "refs/heads/"}[key]
            full = value if value.startswith(prefix) else prefix + value
            if ref not in ("", full):
                raise InvalidValue(f"{shown}: two refs are named, {ref!r} and {full!r}")
            ref = full
        elif key == "subdir":
            if subdir not in ("", value):
                raise InvalidValue(f"{shown}: two folders are named, {subdir!r} and {value!r}")
            subdir = value
        elif key in ("checksum", "commit"):
            if checksum not in ("", value):
                raise InvalidValue(f"{shown}: two commits are named, {checksum!r} and {value!r}")
            checksum = value
        elif key == "keep-git-dir":
            keep_git_dir = _boolean(shown, key, value)
        elif key == "submodules":
            submodules = _boolean(shown, key, value)
        else:
            raise InvalidValue(
                f"{shown}: unknown key {key!r}",
                hint="known are branch, tag, ref, subdir, commit, checksum, keep-git-dir and submodules",
            )
    if checksum and not (4 <= len(checksum) <= 64 and set(checksum) <= set("0123456789abcdef")):
        raise InvalidValue(f"{shown}: the commit {checksum!r} is not hexadecimal digits")
    return GitUrl(url.remote, ref or checksum, _relative(subdir), checksum, keep_git_dir, submodules)


def _boolean(shown: str, key: str, value: str) -> bool:
    if not value or value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise InvalidValue(f"{shown}: {key} is true or false, not {value!r}")


def _relative(path: str) -> str:
    """The path below the root that it means: `..` never leaves the root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
