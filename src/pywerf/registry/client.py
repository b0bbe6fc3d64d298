"""A client of the distribution specification: manifests, blobs, tags and uploads of one registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote

from pywerf.errors import (
    DigestMismatch,
    InvalidDigest,
    InvalidDocument,
    RegistryError,
    RegistryNotFound,
    RegistryUnauthorized,
)
from pywerf.oci import media_types
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.document import load_object
from pywerf.oci.image_io import BlobChunks
from pywerf.registry import download, upload
from pywerf.registry.credentials import Credential
from pywerf.registry.http import origin
from pywerf.registry.responses import next_link, release
from pywerf.registry.retry import Broken
from pywerf.registry.session import Answer, RegistrySession, Schemes
from pywerf.registry.settings import DEFAULT_SETTINGS, RegistrySettings
from pywerf.registry.verify import MAX_DOCUMENT, check_document

__all__ = ["ACCEPT", "RegistryClient"]

ACCEPT = ", ".join(
    (
        media_types.OCI_INDEX,
        media_types.OCI_MANIFEST,
        media_types.DOCKER_INDEX,
        media_types.DOCKER_MANIFEST,
        "*/*;q=0.1",
    )
)
MAX_PAGES = 10_000


def pull_scope(repository: str) -> str:
    """The scope that reading needs (distribution's token scope grammar)."""
    return f"repository:{repository}:pull"


def push_scope(repository: str) -> str:
    """The scope that writing needs."""
    return f"repository:{repository}:pull,push"


class RegistryClient:
    """One registry. Every method may be called from several threads, and repeats what fails for a while.

    `host` is `name[:port]` as in references; `docker.io` is known to live elsewhere. `credential` is
    asked once, when the registry wants one. All methods raise RegistryError, RegistryUnauthorized and
    RegistryNotFound.
    """

    def __init__(
        self,
        host: str,
        settings: RegistrySettings = DEFAULT_SETTINGS,
        *,
        insecure: bool = False,
        credential: Callable[[], Credential | None] | None = None,
        schemes: Schemes | None = None,
    ) -> None:
        self.host = host
        self.session = RegistrySession(host, settings, insecure=insecure, credential=credential, schemes=schemes)

    def close(self) -> None:
        """Close idle connections. Idempotent; the client can still be used."""
        self.session.close()

    def ping(self) -> None:
        """Ask for the API's root, with our credentials if it wants some: what `login` tries."""
        release(self.session.request("GET", "/v2/", scopes=(), what=self.host).response)

    def manifest(self, repository: str, selector: str) -> tuple[bytes, str, Digest]:
        """Bytes, media type and digest of a manifest or index. `selector` is a tag or a digest, which is verified."""
        what = self._name(repository, selector)
        expected = Digest.parse(selector) if ":" in selector else None
        answer, data = self.session.document(
            self._path(repository, "manifests", selector),
            MAX_DOCUMENT,
            scopes=(pull_scope(repository),),
            what=what,
            headers={"Accept": ACCEPT},
        )
        claimed = self._claimed(answer, what)
        digest = check_document(data, expected or claimed, what)
        if claimed is not None:
            check_document(data, claimed, what)
        return data, _media_type(answer), digest

    def find_manifest(self, repository: str, selector: str) -> Descriptor | None:
        """The descriptor of a manifest without its bytes, or None when there is none."""
        what = self._name(repository, selector)
        answer = self.session.request(
            "HEAD",
            self._path(repository, "manifests", selector),
            scopes=(pull_scope(repository),),
            what=what,
            headers={"Accept": ACCEPT},
            expect=(200, 404),
        )
        release(answer.response)
        if answer.status == 404:
            return None
        digest = self._claimed(answer, what)
        length = answer.header("Content-Length")
        if digest is None or not length.isdigit():
            data, media_type, digest = self.manifest(repository, selector)
            return Descriptor(media_type, digest, len(data))
        return Descriptor(_media_type(answer), digest, int(length))

    def put_manifest(self, repository: str, selector: str, data: bytes, media_type: str) -> Digest:
        """Store a manifest or index under a tag or its digest; its blobs must be there. Idempotent, atomic."""
        what = self._name(repository, selector)
        digest = Digest.of(data)
        if ":" in selector:
            digest = check_document(data, Digest.parse(selector), what)
        patience = self.session.patience()
        while True:
            try:
                answer = self.session.attempt(
                    "PUT",
                    self._path(repository, "manifests", selector),
                    scopes=(push_scope(repository),),
                    what=what,
                    headers={"Content-Type": media_type},
                    body=data,
                    expect=(200, 201, 202),
                )
                break
            except Broken as broken:
                # docker-registry says so as well while another client's push of the same blob is being linked
                if broken.error.code == "DIGEST_INVALID":
                    broken.transient = True
                patience.wait_after(broken)
        release(answer.response)
        claimed = self._claimed(answer, what)
        if claimed is not None and claimed.algorithm == digest.algorithm and claimed != digest:
            raise DigestMismatch(f"{what}: stored by {self.host}", str(digest), str(claimed))
        return digest

    def delete_manifest(self, repository: str, selector: str) -> None:
        """Remove a manifest by digest (every tag of it goes too), or a tag where the registry can do that."""
        answer = self.session.request(
            "DELETE",
            self._path(repository, "manifests", selector),
            scopes=(f"repository:{repository}:pull,push,delete",),
            what=self._name(repository, selector),
            expect=(200, 202, 204),
        )
        release(answer.response)

    def delete_gitlab_tag(self, repository: str, tag: str) -> bool:
        """Remove a tag in the way of GitLab before 16.4; False: there is no such way, or no such tag."""
        answer = self.session.request(
            "DELETE",
            f"/v2/{quote(repository)}/tags/reference/{quote(tag)}",
            scopes=(f"repository:{repository}:pull,push,delete",),
            what=self._name(repository, tag),
            expect=(200, 202, 204, 400, 404, 405),
        )
        release(answer.response)
        return answer.status < 300

    def tags(self, repository: str) -> Iterator[str]:
        """The tags of a repository in the registry's order, page by page."""
        what = f"{self.host}/{repository}"
        path = f"/v2/{quote(repository)}/tags/list"
        for _ in range(MAX_PAGES):
            answer, data = self.session.document(path, MAX_DOCUMENT, scopes=(pull_scope(repository),), what=what)
            document = load_object(data, f"{what}: list of tags")
            yield from document.strings("tags") or ()
            link = next_link(answer.header("Link"))
            if link is None:
                return
            path = answer.link(link)
            if origin(path) != origin(answer.url):
                raise RegistryError(f"{what}: the list of tags goes on at another host")
        raise RegistryError(f"{what}: the list of tags has no end")

    def find_blob(self, repository: str, digest: Digest) -> int | None:
        """The size of a blob (-1: there, but its size is not told), or None when it is not in the repository."""
        answer = self.session.request(
            "HEAD",
            self._path(repository, "blobs", str(digest)),
            scopes=(pull_scope(repository),),
            what=self._name(repository, str(digest)),
            expect=(200, 404),
        )
        release(answer.response)
        if answer.status == 404:
            return None
        length = answer.header("Content-Length")
        return int(length) if length.isdigit() else -1

    def blob(self, repository: str, descriptor: Descriptor) -> Iterator[bytes]:
        """Chunks of a blob, verified (DigestMismatch at its end); a broken download goes on where it stopped."""
        return download.blob(
            self.session,
            self._path(repository, "blobs", str(descriptor.digest)),
            descriptor,
            scopes=(pull_scope(repository),),
            what=self._name(repository, str(descriptor.digest)),
        )

    def mount_blob(self, repository: str, digest: Digest, from_repository: str) -> bool:
        """Take a blob over from another repository of the registry without sending it; False: not possible."""
        target = self._target(repository, str(digest), pull_scope(from_repository))
        return upload.mount(self.session, target, digest, from_repository)

    def put_blob(self, repository: str, descriptor: Descriptor, chunks: BlobChunks) -> None:
        """Send a blob of known digest and size; what breaks is resumed or sent again. Idempotent, atomic."""
        upload.known(self.session, self._target(repository, str(descriptor.digest)), descriptor, chunks)

    def put_blob_stream(self, repository: str, chunks: Iterable[bytes]) -> tuple[Digest, int]:
        """Send a blob while it is made, in requests of `settings.chunk_size` bytes; its digest and size. Atomic."""
        return upload.stream(self.session, self._target(repository, ""), chunks)

    def may_push(self, repository: str) -> bool:
        """Whether we may send blobs to a repository, which need not exist yet. Leaves nothing behind."""
        try:
            upload.attempt(self.session, self._target(repository, ""))
        except (RegistryUnauthorized, RegistryNotFound):
            return False
        return True

    def _target(self, repository: str, selector: str, *scopes: str) -> upload.Target:
        return upload.Target(
            uploads=f"/v2/{quote(repository)}/blobs/uploads/",
            blobs=f"/v2/{quote(repository)}/blobs/",
            scopes=(push_scope(repository), *scopes),
            what=self._name(repository, selector) if selector else f"{self.host}/{repository}",
        )

    def _name(self, repository: str, selector: str) -> str:
        return f"{self.host}/{repository}{'@' if ':' in selector else ':'}{selector}"

    def _path(self, repository: str, kind: str, selector: str) -> str:
        return f"/v2/{quote(repository)}/{kind}/{quote(selector, safe=':')}"

    def _claimed(self, answer: Answer, what: str) -> Digest | None:
        value = answer.header("Docker-Content-Digest")
        if not value:
            return None
        try:
            return Digest.parse(value)
        except InvalidDigest as error:
            raise InvalidDocument(f"{what}: the registry's Docker-Content-Digest is not a digest") from error


def _media_type(answer: Answer) -> str:
    return answer.header("Content-Type").partition(";")[0].strip()
