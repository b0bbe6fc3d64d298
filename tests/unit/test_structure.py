"""The package's shape: which layer may import which, what is public, what start-up must not load."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "pywerf"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "util"),
    ("oci", "linux"),
    ("graph", "source", "snapshot", "isolation", "config", "store", "layer", "registry", "locks"),
    ("backend",),
    ("frontend", "solver", "report"),
    ("build",),
    ("cli",),
)
"""Top-level names of pywerf, the lowest layer first. A module imports strictly lower layers or its own package."""

LAYER_OF = {name: number for number, names in enumerate(LAYERS, start=1) for name in names}

HEAVY = frozenset(
    {
        "argparse",
        "asyncio",
        "concurrent",
        "cryptography",
        "docker",
        "email",
        "h2",
        "http",
        "isal",
        "logging",
        "multiprocessing",
        "pygit2",
        "requests",
        "rich",
        "ruamel",
        "shutil",
        "ssl",
        "subprocess",
        "tarfile",
        "tempfile",
        "urllib3",
        "uuid",
        "yaml",
        "zstandard",
    }
)
"""Modules that cost milliseconds: they are imported inside the function that needs them, never at module level."""

HEAVY_ALLOWED: dict[str, frozenset[str]] = {"pywerf.locks.server": frozenset({"http"})}
"""Modules that are themselves only loaded by the function that needs them: name -> what they may import."""


def module_name(path: Path) -> str:
    parts = ("pywerf", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(), name)


def imported(name: str, node: ast.AST) -> Iterator[str]:
    """The absolute names of the modules that an import statement of module `name` loads."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
            for _ in range(node.level - 1):
                package = package.rpartition(".")[0]
            base = f"{package}.{base}" if base else package
        for alias in node.names:
            whole = f"{base}.{alias.name}"
            yield whole if whole in MODULES else base


def all_imports(name: str) -> Iterator[tuple[int, str]]:
    """(line, module) of every import: at module level, in functions, under TYPE_CHECKING."""
    for node in ast.walk(tree(name)):
        for target in imported(name, node):
            yield node.lineno, target  # type: ignore[attr-defined]


def module_level_imports(name: str) -> Iterator[tuple[int, str]]:
    """(line, module) of the imports that run when the module is loaded: no functions, no TYPE_CHECKING."""
    todo: list[ast.stmt] = list(tree(name).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            for target in imported(name, node):
                yield node.lineno, target
        elif isinstance(node, ast.If):
            if ast.unparse(node.test) not in ("TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'"):
                todo += node.body
            todo += node.orelse
        elif isinstance(node, ast.Try):
            todo += node.body + node.orelse + node.finalbody
            for handler in node.handlers:
                todo += handler.body
        elif isinstance(node, ast.With | ast.ClassDef):
            todo += node.body


def why_forbidden(importer: str, target: str) -> str:
    """Why module `importer` may not import `target` (a module of pywerf), or "" when it may."""
    if target == "pywerf":  # the version alone
        return ""
    there = target.split(".")[1]
    if there not in LAYER_OF:
        return f"{there} is in no layer: add it to LAYERS"
    if importer in ("pywerf", "pywerf.__main__"):
        return "" if importer == "pywerf.__main__" and there == "cli" else "only __main__ imports, and only cli"
    here = importer.split(".")[1]
    if here == there or there == "errors":  # the exception tree is below everything, util included
        return ""
    if LAYER_OF[there] < LAYER_OF[here]:
        return ""
    how = "a sibling in its layer" if LAYER_OF[there] == LAYER_OF[here] else "a higher layer"
    return f"{here} (layer {LAYER_OF[here]}) must not import {there} (layer {LAYER_OF[there]}), {how}"


def test_the_layers_name_every_package() -> None:
    there = {name.split(".")[1] for name in MODULES if name.count(".") >= 1} - {"__main__"}
    assert there <= set(LAYER_OF), f"in no layer: {sorted(there - set(LAYER_OF))}"


def test_imports_point_downwards() -> None:
    wrong = [
        f"src/{'/'.join(MODULES[name].relative_to(PACKAGE.parent).parts)}:{line}: imports {target}: {reason}"
        for name in MODULES
        for line, target in all_imports(name)
        if target.split(".")[0] == "pywerf" and (reason := why_forbidden(name, target))
    ]
    assert not wrong, "imports against the layers:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("importer", "target", "allowed"),
    [
        ("pywerf.cli.main", "pywerf.build.session", True),
        ("pywerf.build.session", "pywerf.cli.main", False),
        ("pywerf.store.db", "pywerf.layer.diff", False),
        ("pywerf.store.db", "pywerf.store.blobs", True),
        ("pywerf.oci.digest", "pywerf.linux.mount", False),
        ("pywerf.util.filetree", "pywerf.errors", True),
        ("pywerf.errors", "pywerf.util.filetree", False),
        ("pywerf.backend.buildah.engine", "pywerf.report.events", False),
        ("pywerf.solver.cache", "pywerf", True),
        ("pywerf", "pywerf.errors", False),
    ],
)
def test_the_rule_itself(importer: str, target: str, allowed: bool) -> None:
    assert (why_forbidden(importer, target) == "") is allowed


def test_no_heavy_import_at_module_level() -> None:
    wrong = []
    for name, path in MODULES.items():
        for line, target in module_level_imports(name):
            names = {target, target.split(".")[0]}
            if names & HEAVY and not names & HEAVY_ALLOWED.get(name, frozenset()):
                wrong.append(f"src/pywerf/{path.relative_to(PACKAGE)}:{line}: {target}")
            if target.split(".")[0] == "click" and name.split(".")[1:2] != ["cli"]:
                wrong.append(f"src/pywerf/{path.relative_to(PACKAGE)}:{line}: click is for cli alone")
    assert not wrong, "import these where they are used, in the function:\n" + "\n".join(wrong)


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(PACKAGE.parent))
        for name, path in MODULES.items()
        if tree(name).body and len((ast.get_docstring(tree(name)) or "").split("\n", 1)[0]) < 10
    ]
    assert not silent, f"the first line must say what the module is for: {silent}"


PUBLIC = sorted(
    name
    for name, path in MODULES.items()
    if not any(part.startswith("_") for part in name.split(".")[1:])
    # a package's __init__ without code has nothing to publish
    and (path.name != "__init__.py" or len(tree(name).body) > 1)
)


def why_not_public(name: str) -> Iterator[str]:
    """What is wrong with the list of a module's public names."""
    module = importlib.import_module(name)
    names = getattr(module, "__all__", None)
    if names is None:
        yield f"{MODULES[name]}: has no __all__"
        return
    if len(names) != len(set(names)):
        yield f"{name}: __all__ has doubles"
    missing = [public for public in names if not hasattr(module, public)]
    if missing:
        yield f"{name}: __all__ names what is not there: {missing}"


def test_public_names_exist() -> None:
    wrong = [reason for name in PUBLIC for reason in why_not_public(name)]
    assert len(PUBLIC) > 100
    assert not wrong, "\n".join(wrong)
