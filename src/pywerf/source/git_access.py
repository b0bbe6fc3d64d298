"""How we talk to a git server: who we are for it, and what its failures mean.

Credentials are given only to the host that they are for, and appear in no message.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from pywerf.errors import ContextError
from pywerf.source.git_url import redact

__all__ = ["GitAccess", "GitCredentials"]

Progress = Callable[[int, int], None]
"""Called with the objects that were received, and all of them."""


class GitCredentials(msgspec.Struct, frozen=True):
    """Credentials besides those in the URL, for http(s) servers. `token` is the password of `x-access-token`.

    `header` is what the Authorization header is to say (`basic …`, `Bearer …`); it goes before the token. They are
    given to `host` alone (empty: the host of the repository that is fetched, not of its submodules).
    """

    token: str = ""
    host: str = ""
    header: str = ""

    def user_and_password(self) -> tuple[str, str]:
        """What basic authorization needs; empty when there is nothing of that kind."""
        if not self.header:
            return ("x-access-token", self.token) if self.token else ("", "")
        scheme, _, value = self.header.partition(" ")
        if scheme.lower() != "basic":
            return "", ""
        try:
            user, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except ValueError:
            return "", ""
        return user, password

    @property
    def raw_header(self) -> str:
        """The header, when it has to be sent as it is: all but basic authorization, which libgit2 knows."""
        return self.header if self.user_and_password() == ("", "") else ""


class GitAccess:
    """The way to one remote: `address` is its URL without what is secret in it (ssh keeps its user)."""

    def __init__(
        self, remote: str, credentials: GitCredentials | None = None, progress: Progress | None = None
    ) -> None:
        self.remote = remote
        self.credentials = credentials or GitCredentials()
        self.progress = progress
        self.user, self.password, self.address = _split_userinfo(remote)

    def failure(self, error: Exception) -> ContextError:
        """What an error of libgit2 means, without secrets."""
        text = str(error)
        given = self.credentials
        for secret in (self.remote, self.password, given.token, given.header, given.user_and_password()[1]):
            if secret:
                text = text.replace(secret, redact(secret) if "://" in secret else "xxxxx")
        lowered = text.lower()
        hint = None
        if "auth" in lowered or "credential" in lowered or "401" in text or "403" in text:
            hint = (
                "give a token (secret GIT_AUTH_TOKEN or GIT_AUTH_HEADER), user and password in the URL, or an ssh agent"
            )
        elif "redirect" in lowered and given.raw_header:
            hint = "the header of the secret GIT_AUTH_HEADER is for that server alone: name the address it redirects to"
        elif "certificate" in lowered or "host key" in lowered or "hostkey" in lowered:
            hint = (
                "the server's certificate or host key is not known to this machine (SSL_CERT_FILE, ~/.ssh/known_hosts)"
            )
        return ContextError(f"cannot fetch {redact(self.remote)}: {text}", hint=hint)

    def callbacks(self) -> Any:
        """The answers that libgit2 asks for while it talks to a server; for one request."""
        import pygit2
        from pygit2.enums import CredentialType

        access = self
        host_of = urlsplit(access.address).hostname or ""
        scheme = urlsplit(access.address).scheme
        given = access.credentials
        token_host = given.host or host_of
        headers = []
        if given.raw_header and host_of == token_host and scheme in ("http", "https") and not access.user:
            headers = [f"Authorization: {given.raw_header}"]

        class Callbacks(pygit2.RemoteCallbacks):  # type: ignore[misc, unused-ignore]  # untyped in some versions
            asked = 0

            def credentials(self, url: str, username_from_url: str | None, allowed_types: CredentialType) -> Any:
                self.asked += 1
                if self.asked > 2:
                    raise pygit2.GitError("authentication failed")
                user = access.user or username_from_url or "git"
                if "://" in url and urlsplit(url).scheme in ("http", "https"):
                    host = urlsplit(url).hostname or ""
                    if allowed_types & CredentialType.USERPASS_PLAINTEXT and self.asked == 1:
                        if access.user and host == host_of:
                            return pygit2.UserPass(access.user, access.password)
                        if any(given.user_and_password()) and host == token_host:
                            return pygit2.UserPass(*given.user_and_password())
                    raise pygit2.GitError("authentication required")
                if allowed_types & CredentialType.SSH_KEY:
                    return pygit2.KeypairFromAgent(user)
                if allowed_types & CredentialType.USERPASS_PLAINTEXT and access.password:
                    return pygit2.UserPass(user, access.password)
                if allowed_types & CredentialType.USERNAME:
                    return pygit2.Username(user)
                raise pygit2.GitError("authentication required")

            def custom_headers(self) -> list[str] | None:
                return headers

            def transfer_progress(self, stats: Any) -> None:
                if access.progress is not None:
                    access.progress(stats.received_objects, stats.total_objects)

        return Callbacks()


def _split_userinfo(remote: str) -> tuple[str, str, str]:
    """(user, password, URL without them); ssh keeps its user, which is no secret."""
    if "://" not in remote:
        user, _, _ = remote.partition("@")
        return user, "", remote
    parts = urlsplit(remote)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return "", "", remote
    user, _, password = userinfo.partition(":")
    netloc = f"{user}@{host}" if parts.scheme == "ssh" else host
    return unquote(user), unquote(password), parts._replace(netloc=netloc).geturl()
