"""What `werf config` prints: documents of single images, and the graph of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pywerf.config.template.werf_functions import to_yaml
from pywerf.config.werf_yaml.documents import read_documents
from pywerf.config.werf_yaml.model import shown_name
from pywerf.config.werf_yaml.project import needs_of, with_needed

if TYPE_CHECKING:
    from pywerf.build.project.project import Project

__all__ = ["documents_of", "graph_of"]


def documents_of(project: Project, patterns: Sequence[str], *, final_only: bool = False) -> str:
    """The rendered documents of the images that the patterns choose, as they stand in the file."""
    chosen = project.images(patterns, final_only=final_only)
    lines = {image.line for image in project.config.images if image.name in chosen}
    documents = read_documents(project.rendered, project.config_path)
    wanted = [document.text for document in documents if document.line_of(document.root) in lines]
    return "---\n".join(text.strip("\n") + "\n" for text in wanted)


def graph_of(project: Project, patterns: Sequence[str], *, final_only: bool = False) -> str:
    """A list in YAML: `image`, and `dependsOn` with the images that it needs."""
    found: list[dict[str, Any]] = []
    for name in with_needed(project.config, project.images(patterns, final_only=final_only)):
        image = project.config.image(name)
        assert image is not None
        needs = needs_of(image)
        depends: dict[str, Any] = {}
        if needs.base:
            depends["from"] = needs.base
        if needs.imports:
            depends["import"] = list(needs.imports)
        if needs.dependencies:
            depends["dependencies"] = list(needs.dependencies)
        entry: dict[str, Any] = {"image": shown_name(name)}
        if depends:
            entry["dependsOn"] = depends
        found.append(entry)
    return "\n".join(_entry(entry) for entry in found) if found else "[]"


def _entry(entry: dict[str, Any]) -> str:
    """One item, its name first."""
    head = "- " + to_yaml({"image": entry["image"]})
    if "dependsOn" not in entry:
        return head
    inner = to_yaml({"dependsOn": entry["dependsOn"]})
    return head + "\n" + "\n".join(f"  {line}" for line in inner.split("\n"))
