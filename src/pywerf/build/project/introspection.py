"""`--introspect-stage`: which stages of which images a shell is opened after, and the opening."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from pywerf.config.werf_yaml.model import shown_name
from pywerf.errors import ShellMissing, UsageError
from pywerf.oci.platform import Platform, host_platform

if TYPE_CHECKING:
    from pywerf.backend.contract import Backend
    from pywerf.util.events import Reporter

__all__ = ["StageNames", "WantedStages", "look_into_stage"]

StageNames = Mapping[str, tuple[str, ...] | None]
"""The stages of each image that is built; None where they are known only when the image is planned."""

FLAG = "--introspect-stage"
_EVERY = "*"
_CLOSE = 0.6


class WantedStages(msgspec.Struct, frozen=True):
    """Pairs of an image's name (`*`: every image) and a stage's."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, values: Iterable[str]) -> WantedStages:
        """Of `IMAGE/STAGE`, `STAGE` or `*/STAGE`, `~/STAGE` (the nameless image). Raises UsageError."""
        pairs = []
        for value in values:
            image, slash, stage = value.rpartition("/")
            if not stage or (slash and not image):
                raise UsageError(
                    f"{FLAG} {value}: expected IMAGE/STAGE",
                    hint="STAGE alone, or */STAGE, is that of every image; ~/STAGE that of the image without a name",
                )
            pairs.append((_EVERY if not slash else "" if image == "~" else image, stage))
        return cls(tuple(pairs))

    def check(self, images: Sequence[str], built: StageNames) -> None:
        """See that all of them are there. `images` are those of werf.yaml, `built` those of this build.

        Raises UsageError, which names what there is.
        """
        for image, stage in self.pairs:
            if image == _EVERY:
                known = list(built.values())
                if None not in known and not any(stage in names for names in known if names):
                    every = dict.fromkeys(name for names in known if names for name in names)
                    raise _unknown(f"{FLAG} {stage}: no image has a stage of that name", stage, "stages", every)
                continue
            owner = image.rpartition("/")[0]
            if image not in images and owner in built and built[owner] is None:
                continue  # a stage of its Dockerfile, perhaps
            if image not in images:
                raise _unknown(
                    f"{FLAG} {shown_name(image)}/{stage}: there is no image {shown_name(image)}",
                    image,
                    "images",
                    map(shown_name, images),
                )
            if image not in built:
                raise _unknown(
                    f"{FLAG} {shown_name(image)}/{stage}: the image is not built by this command",
                    image,
                    "images that are",
                    map(shown_name, built),
                )
            names = built[image]
            if names is not None:
                self.check_stages(image, names)

    def check_stages(self, image: str, names: Sequence[str]) -> None:
        """See that the stages that are wanted of an image by its name are among its own. Raises UsageError."""
        for wanted, stage in self.pairs:
            if wanted == image and stage not in names:
                shown = shown_name(image)
                raise _unknown(
                    f"{FLAG} {shown}/{stage}: image {shown} has no stage of that name", stage, "stages", names
                )

    def wants(self, image: str, stage: str) -> bool:
        """Whether a shell is wanted after a stage."""
        return (image, stage) in self.pairs or (_EVERY, stage) in self.pairs


def _unknown(message: str, name: str, what: str, known: Iterable[str]) -> UsageError:
    from difflib import get_close_matches

    listed = list(known)
    near = get_close_matches(name, listed, 1, _CLOSE)
    hint = f"the {what}: {', '.join(listed)}" if listed else f"there are no {what}"
    return UsageError(message, hint=f"did you mean {near[0]}? {hint}" if near else hint)


def look_into_stage(backend: Backend, reporter: Reporter, image: str, where: str, platform: Platform | None) -> None:
    """A shell in a container of a stage's image; `where` is IMAGE/STAGE. Without a shell in it: a warning."""
    from pywerf.backend.contract import Shell

    one = platform if platform is not None and platform != host_platform() else None
    shell = Shell(image, f"the image after stage {where}", "the build goes on", platform=one)
    try:
        backend.shells.open(shell)
    except ShellMissing as error:
        reporter.message("warning", f"no introspection of stage {where}: {error.message} ({error.hint})")
