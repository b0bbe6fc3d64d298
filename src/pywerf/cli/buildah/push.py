"""`werf buildah push`: an image goes to a registry, an archive, a layout, a folder or a daemon."""

from __future__ import annotations

from pywerf.cli.declare import WHOLE, argument, declared, flag, switch
from pywerf.cli.invocation import Invocation, engine_flags, progress_flags
from pywerf.cli.values import bad_value, registry_flags, registry_options
from pywerf.errors import UsageError
from pywerf.oci.media_types import Compression, ImageFormat

__all__ = ["command"]

_COMPRESSIONS: dict[str, Compression] = {"": "gzip", "gzip": "gzip", "zstd": "zstd", "none": "none"}
_FORMATS: dict[str, ImageFormat | None] = {"": None, "oci": "oci", "v2s2": "docker", "docker": "docker"}
_LEVELS = {"gzip": (0, 9), "zstd": (1, 22)}


@declared(
    "push",
    usage_line="IMAGE [DESTINATION]",
    unsupported=("--encrypt-layer", "--encryption-key", "--sign-by"),
)
@switch("--all", "all_", help="Push every image of a manifest list.")
@flag("--compression-format", metavar="FORMAT", help="Compression of layers: gzip (default), zstd or none.")
@flag("--compression-level", type=WHOLE, default=None, metavar="LEVEL", help="Level of the compression.")
@switch("--disable-compression", "-D", help="The same as --compression-format none.")
@flag("--digestfile", metavar="FILE", help="File to write the digest of what was pushed to.")
@flag("--format", "-f", "format_", metavar="FORMAT", help="Form of the manifest: oci or v2s2 (docker).")
@switch("--remove-signatures", help="No effect: signatures are never taken along.")
@switch("--quiet", "-q", help="Tell nothing.")
@switch("--rm", "remove", help="Remove a manifest list from the store when it is pushed.")
@registry_flags
@progress_flags
@engine_flags
@argument("image")
@argument("destination", "")
def command(
    run: Invocation,
    /,
    all_: bool,
    compression_format: str,
    compression_level: int | None,
    disable_compression: bool,
    digestfile: str,
    format_: str,
    remove_signatures: bool,
    quiet: bool,
    remove: bool,
    tls_verify: bool | None,
    authfile: str,
    creds: str,
    cert_dir: str,
    retry: int,
    retry_delay: str,
    image: str,
    destination: str,
) -> int:
    """Push an image. Without DESTINATION it goes to the registry of its name.

    DESTINATION is a name, or TRANSPORT:DETAILS with docker://, oci:, oci-archive:, docker-archive:,
    docker-daemon: or dir:.
    """
    compression = _compression(compression_format, compression_level, disable_compression)
    image_format = _format(format_)
    registry = registry_options(tls_verify, authfile, creds, cert_dir, retry, retry_delay, run.secrets)
    with run.reporter(quiet=quiet) as reporter, run.session(reporter, registry=registry) as session:
        record = session.find_image(image)
        session.push(
            image,
            destination,
            compression=compression,
            compression_level=compression_level,
            image_format=image_format,
            digestfile=digestfile,
            all=all_,
        )
        if remove and record.is_index:
            session.remove([image], force=True, prune=False, all=False)
    return 0


def _compression(name: str, level: int | None, disabled: bool) -> Compression:
    if name not in _COMPRESSIONS:
        raise bad_value("--compression-format", name, "unknown compression", hint="it is one of gzip, zstd, none")
    if disabled and name not in ("", "none"):
        raise UsageError("--disable-compression and --compression-format cannot be used together")
    compression: Compression = "none" if disabled else _COMPRESSIONS[name]
    if level is not None:
        if compression == "none":
            raise UsageError("--compression-level means nothing without compression")
        least, most = _LEVELS[compression]
        if not least <= level <= most:
            raise bad_value("--compression-level", str(level), f"{compression} has the levels {least} to {most}")
    return compression


def _format(name: str) -> ImageFormat | None:
    if name not in _FORMATS:
        hint = "v2s1 is obsolete: no current registry takes it" if name == "v2s1" else "it is one of oci, v2s2"
        raise bad_value("--format", name, "unknown image type", hint=hint)
    return _FORMATS[name]
