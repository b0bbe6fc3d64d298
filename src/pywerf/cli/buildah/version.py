"""`werf buildah version`: what this is, and which specifications it follows."""

from __future__ import annotations

from pywerf import __version__
from pywerf.cli.declare import declared, switch
from pywerf.cli.go_objects import GoObject, dump, field
from pywerf.cli.invocation import Invocation
from pywerf.oci.platform import host_platform

__all__ = ["command"]

IMAGE_SPEC = "1.1.0"
RUNTIME_SPEC = "1.2.0"
# The buildah whose sub-commands, flags and output forms are followed.
BUILDAH = "1.28"


@declared("version")
@switch("--json", "json_", help="Show as JSON.")
def command(run: Invocation, /, json_: bool) -> int:
    """Print the version, and which specifications it follows."""
    import platform

    values = (
        ("Version", "version", __version__),
        ("Python Version", "pythonVersion", platform.python_version()),
        ("Image Spec", "imageSpec", IMAGE_SPEC),
        ("Runtime Spec", "runtimeSpec", RUNTIME_SPEC),
        ("Buildah", "buildahVersion", BUILDAH),
        ("OS/Arch", "osArch", str(host_platform())),
    )
    if json_:
        print(dump(GoObject("main.versionInfo", [field(*value) for value in values]), indent=4))
        return 0
    for label, _, value in values:
        print(f"{label + ':':<17}{value}")
    return 0
