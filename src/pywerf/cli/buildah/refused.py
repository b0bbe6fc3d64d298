"""Flags of buildah that are refused by name, each with why and with the way out: they are never ignored."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["REFUSED", "Refused"]


class Refused(NamedTuple):
    """Why there is no such flag here, and what to do instead."""

    why: str
    instead: str


_SIGNING = Refused(
    "pywerf makes no signatures",
    "sign what was pushed: cosign sign NAME@DIGEST (--digestfile of push tells the digest); or push it to oci:DIR, "
    "then skopeo copy --sign-by FINGERPRINT oci:DIR docker://NAME",
)
_ENCRYPTING = Refused(
    "pywerf encrypts no layers",
    "push it to oci:DIR, then skopeo copy --encryption-key KEY oci:DIR docker://NAME",
)
_SCANNING = Refused(
    "pywerf runs no scanners",
    "scan the result: build with --output type=oci,dest=FILE, then syft oci-archive:FILE or trivy image --input FILE",
)

REFUSED = {
    "--sign-by": _SIGNING,
    "--decryption-key": Refused(
        "pywerf reads no encrypted layers",
        "skopeo copy --decryption-key KEY docker://NAME oci:DIR, then pull oci:DIR, or build with "
        "--build-context NAME=oci-layout://DIR",
    ),
    "--encryption-key": _ENCRYPTING,
    "--encrypt-layer": _ENCRYPTING,
    "--cw": Refused(
        "pywerf makes no images for confidential workloads", "build without it, then buildah mkcw NAME NEWNAME"
    ),
    "--compat-volumes": Refused(
        "what RUN writes below a VOLUME stays, as in buildah without it", "write there before the VOLUME instruction"
    ),
    "--sbom": _SCANNING,
    "--sbom-scanner-image": _SCANNING,
    "--sbom-scanner-command": _SCANNING,
    "--sbom-merge-strategy": _SCANNING,
    "--sbom-output": _SCANNING,
    "--sbom-image-output": _SCANNING,
    "--sbom-purl-output": _SCANNING,
    "--sbom-image-purl-output": _SCANNING,
}
