"""A rendered werf.yaml as a ProjectConfig, and what its images need of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NoReturn

import msgspec

from pywerf.config.werf_yaml.dockerfile_image import read_dockerfile_image
from pywerf.config.werf_yaml.documents import Document, Section, read_documents
from pywerf.config.werf_yaml.meta import read_meta
from pywerf.config.werf_yaml.model import DockerfileImage, Image, Meta, ProjectConfig, StapelImage, shown_name
from pywerf.config.werf_yaml.stapel_image import read_stapel_image
from pywerf.errors import ConfigError, SourceExcerpt

__all__ = ["Needs", "build_sets", "needs_of", "parse_config", "sets_of", "with_needed"]


class Needs(msgspec.Struct, frozen=True):
    """The images of werf.yaml that an image needs, by the directive that names them."""

    base: str = ""
    imports: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Each once, in this order."""
        base = (self.base,) if self.base else ()
        return tuple(dict.fromkeys((*base, *self.imports, *self.dependencies)))


def parse_config(
    text: str, file: str = "werf.yaml", *, proposed_name: Callable[[], str] | None = None
) -> ProjectConfig:
    """Read a rendered werf.yaml. `proposed_name` makes a project's name for the hint when there is no meta section.

    Raises ConfigError, which names the line of `text`.
    """
    documents = read_documents(text, file)
    sections = [Section(document, document.root) for document in documents]
    metas = [section for section in sections if "configVersion" in section.entries]
    if not metas:
        name = proposed_name() if proposed_name is not None else "my-project"
        raise ConfigError(
            f"{file} has no meta section",
            hint=f"begin it with\n\nproject: {name}\nconfigVersion: 1\n---",
        )
    if len(metas) > 1:
        metas[1].fail_at(metas[1].node, "there is a meta section already", hint=f"the first is in line {metas[0].line}")
    meta = read_meta(_named(metas[0], ""))
    images: list[Image] = []
    places: dict[str, Section] = {}
    for section in sections:
        if section is metas[0]:
            continue
        for image in _read_image(section, meta):
            if image.name in places:
                other = places[image.name].line
                section.fail_at(section.node, f"image {shown_name(image.name)} is there twice", f"also in line {other}")
            places[image.name] = section
            images.append(image)
    config = _resolved(ProjectConfig(meta, tuple(images)), places)
    _check(config, places)
    return config


def _named(section: Section, path: str) -> Section:
    return Section(section.document, section.node, path)


def _read_image(section: Section, meta: Meta) -> Sequence[Image]:
    entries = section.entries
    name = ""
    for key in ("image", "artifact"):
        if section.has(key) and entries[key][1].id == "scalar":
            name = section.text(key)
    named = _named(section, f"image {name}" if name else "")
    if "dockerfile" in entries:
        return read_dockerfile_image(named, meta)
    if "image" in entries or "artifact" in entries:
        return read_stapel_image(named, meta)
    section.fail_at(
        section.node,
        "neither a meta section (configVersion) nor an image (image)",
        hint="an image begins with image: NAME, the one image of a project may be image: null",
    )


# Across the documents


def needs_of(image: Image) -> Needs:
    """Which images of werf.yaml this one needs."""
    dependencies = tuple(dict.fromkeys(dependency.image for dependency in image.dependencies))
    if isinstance(image, DockerfileImage):
        return Needs(dependencies=dependencies)
    return Needs(
        image.base if image.base_is_image else "",
        tuple(dict.fromkeys(item.source for item in image.imports if not item.external)),
        dependencies,
    )


def with_needed(config: ProjectConfig, names: Iterable[str]) -> tuple[str, ...]:
    """The names and all that they need, in the order of werf.yaml."""
    wanted: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        image = config.image(name)
        if name not in wanted and image is not None:
            wanted.add(name)
            todo.extend(needs_of(image).all)
    return tuple(image.name for image in config.images if image.name in wanted)


def build_sets(config: ProjectConfig, names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The names and all that they need, in sets: what an image needs is in an earlier set than itself."""
    return sets_of({name: needs_of(image).all for name in with_needed(config, names) if (image := config.image(name))})


def sets_of(needed: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Names in sets, by what each needs; each as early as it can be, and in the order of `needed`. Without circles.

    The time that it takes is as the number of names and needs.
    """
    needing: dict[str, list[str]] = {name: [] for name in needed}
    missing: dict[str, int] = {}
    for name, others in needed.items():
        missing[name] = len(others)
        for other in others:
            needing[other].append(name)
    number = dict.fromkeys(needed, 0)
    ready = [name for name, count in missing.items() if not count]
    for name in ready:  # it grows meanwhile
        for other in needing[name]:
            number[other] = max(number[other], number[name] + 1)
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
    sets: list[list[str]] = [[] for _ in range(max(number.values(), default=-1) + 1)]
    for name, place in number.items():
        sets[place].append(name)
    return tuple(map(tuple, sets))


def _resolved(config: ProjectConfig, places: Mapping[str, Section]) -> ProjectConfig:
    """`from` and `import` name an image of werf.yaml if there is one, else one of a registry."""
    names = {image.name for image in config.images}
    images: list[Image] = []
    for image in config.images:
        if isinstance(image, StapelImage):
            if image.base == image.name and not image.base_is_image:
                places[image.name].fail(
                    "from", f"{image.base} is the image itself", hint=f"another image of that name: {image.base}:latest"
                )
            image = msgspec.structs.replace(
                image,
                base_is_image=image.base_is_image or image.base in names,
                imports=tuple(
                    msgspec.structs.replace(item, external=item.source not in names and _is_reference(item.source))
                    for item in image.imports
                ),
            )
        images.append(image)
    return ProjectConfig(config.meta, tuple(images))


def _is_reference(name: str) -> bool:
    """Whether a name has a tag or a digest."""
    return "@" in name or ":" in name.rpartition("/")[2]


def _check(config: ProjectConfig, places: Mapping[str, Section]) -> None:
    names = {image.name: image for image in config.images}
    finals = [image.name for image in config.images if image.final]
    for image in config.images:
        if not image.name and image.final and len(finals) > 1:
            others = ", ".join(name for name in finals if name)
            _fail(places[""], "image", f"only a sole final image may be without a name; there is also {others}")
    for image in config.images:
        for name in needs_of(image).all:
            if name not in names:
                _fail(places[image.name], _key_of(image, name), f"there is no image {name}", _suggestion(name, names))
    _check_cycles(config, places)
    for image in config.images:
        _check_platforms(image, names, places[image.name])


def _check_cycles(config: ProjectConfig, places: Mapping[str, Section]) -> None:
    done: set[str] = set()
    for start in config.images:
        # An own stack: as many images in a row as somebody writes.
        path: dict[str, None] = {}
        stack: list[tuple[str, bool]] = [(start.name, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                del path[name]
                done.add(name)
                continue
            if name in path:
                way = list(path)
                circle = " -> ".join(shown_name(each) for each in (*way[way.index(name) :], name))
                section = places[name]
                raise ConfigError(f"images need each other in a circle: {circle}", source=_place(section))
            if name in done:
                continue
            path[name] = None
            stack.append((name, True))
            image = config.image(name)
            stack.extend((other, False) for other in reversed(needs_of(image).all if image else ()))


def _check_platforms(image: Image, names: Mapping[str, Image], section: Section) -> None:
    for name in needs_of(image).all:
        other = names[name]
        missing = [platform for platform in image.platforms if platform not in other.platforms]
        if missing and other.platforms:
            _fail(
                section,
                "platform",
                f"{shown_name(image.name)} is built for {', '.join(missing)}, "
                f"but {shown_name(name)}, which it needs, is not",
                hint="give both images the same platforms, or set build.platform in the meta section",
            )


def _key_of(image: Image, name: str) -> str:
    needs = needs_of(image)
    if name == needs.base:
        return "fromImage"
    return "import" if name in needs.imports else "dependencies"


def _suggestion(name: str, names: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    known = [other for other in names if other]
    found = get_close_matches(name, known, 1, 0.6)
    return f"did you mean {found[0]}?" if found else f"the images are {', '.join(known)}" if known else None


def _fail(section: Section, key: str, why: str, hint: str | None = None) -> NoReturn:
    node = section.entries[key][0] if key in section.entries else section.node
    raise ConfigError(why, hint=hint, source=section.document.place(node))


def _place(section: Section) -> SourceExcerpt:
    document: Document = section.document
    entry = section.entries.get("image") or section.entries.get("artifact")
    return document.place(entry[0] if entry else section.node)
