"""`werf config render`: werf.yaml after its templates, or the documents of some images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pywerf.cli.config.printing import printing

if TYPE_CHECKING:
    from pywerf.build.project.project import Project

__all__ = ["command"]


def _text(project: Project, images: Sequence[str], final_only: bool) -> str:
    """Print the rendered configuration; with names or patterns of images their documents alone."""
    from pywerf.build.project.documents import documents_of

    return documents_of(project, images, final_only=final_only) if images or final_only else project.rendered


command = printing("render", "Print werf.yaml after its templates.", _text)
