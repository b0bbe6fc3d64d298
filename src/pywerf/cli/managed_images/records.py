"""What the commands on managed images share: flags, names, and the records of the repository."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pywerf.cli.deletion import need_repo, open_repositories
from pywerf.cli.invocation import further_log_flags, log_flags
from pywerf.cli.project_flags import project_flags, project_name
from pywerf.cli.repo_flags import repo_flags
from pywerf.cli.vendor_flags import vendor_flags
from pywerf.config.werf_yaml.model import NAMELESS

if TYPE_CHECKING:
    from pywerf.build.project.storage.base import TagRecords
    from pywerf.cli.invocation import Invocation

__all__ = ["image_names", "managed_flags", "open_records"]

F = TypeVar("F", bound=Callable[..., Any])


def managed_flags(function: F) -> F:
    """All flags of a command."""
    return project_flags(repo_flags(vendor_flags(log_flags(further_log_flags(function)))))


def image_names(names: Sequence[str]) -> list[str]:
    """The images that arguments name: `~` is the one without a name."""
    return [NAMELESS if name == "~" else name for name in names]


@contextmanager
def open_records(run: Invocation, flags: Mapping[str, Any]) -> Iterator[TagRecords]:
    """The records of the repository. Raises UsageError without `--repo`."""
    need_repo(flags, "managed-images")
    with (
        run.reporter(quiet=True) as reporter,
        open_repositories(run, flags, project_name(flags, reporter), reporter) as opened,
    ):
        yield opened.repo.records
