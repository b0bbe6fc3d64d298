"""`werf buildah pull`: an image comes into the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pywerf.build.options import PullPolicy
from pywerf.cli.declare import Choice, argument, declared, flag, switch
from pywerf.cli.invocation import Invocation, engine_flags, progress_flags
from pywerf.cli.values import platform_flags, platforms, registry_flags, registry_options
from pywerf.errors import UsageError

__all__ = ["command"]


@declared(
    "pull",
    usage_line="IMAGE",
    unsupported=("--decryption-key",),
)
@switch("--all-tags", "-a", help="Pull every tag of the repository.")
@flag(
    "--policy",
    type=Choice(["always", "missing", "newer", "never"]),
    default="missing",
    help="When to pull: always, missing, newer or never.",
)
@switch("--remove-signatures", help="No effect: signatures are never taken along.")
@switch("--quiet", "-q", help="Tell nothing but the image's id.")
@platform_flags
@registry_flags
@progress_flags
@engine_flags
@argument("image")
def command(
    run: Invocation,
    /,
    all_tags: bool,
    policy: str,
    remove_signatures: bool,
    quiet: bool,
    platform: Sequence[str],
    os: str,
    arch: str,
    variant: str,
    tls_verify: bool | None,
    authfile: str,
    creds: str,
    cert_dir: str,
    retry: int,
    retry_delay: str,
    image: str,
) -> int:
    """Pull an image from a registry or another place, and print its id.

    IMAGE is a name, or TRANSPORT:DETAILS with docker://, oci:, oci-archive:, docker-archive:,
    docker-daemon: or dir:.
    """
    wanted = platforms(platform, os, arch, variant)
    if len(wanted) > 1:
        raise UsageError("--platform: pull takes one platform", hint="call it once for each")
    registry = registry_options(tls_verify, authfile, creds, cert_dir, retry, retry_delay, run.secrets)
    with run.reporter(quiet=quiet) as reporter, run.session(reporter, registry=registry) as session:
        record = session.pull(
            image, policy=cast(PullPolicy, policy), platform=wanted[0] if wanted else None, all_tags=all_tags
        )
    print(record.id.hex)
    return 0
