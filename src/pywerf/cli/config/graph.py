"""`werf config graph`: what the images need of each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pywerf.cli.config.printing import printing

if TYPE_CHECKING:
    from pywerf.build.project.project import Project

__all__ = ["command"]


def _text(project: Project, images: Sequence[str], final_only: bool) -> str:
    """Print, as YAML, the images and the images that they need: by from, import and dependencies."""
    from pywerf.build.project.documents import graph_of

    return graph_of(project, images, final_only=final_only)


command = printing("graph", "Print what the images need of each other.", _text)
