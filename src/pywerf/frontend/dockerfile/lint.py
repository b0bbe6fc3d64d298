"""The build checks of a Dockerfile, by BuildKit's rules and their names, and some of our own.

# check=skip=RULE,RULE;experimental=RULE;error=true      at the top: for the file
# check=skip=RULE                                        above an instruction: for that one
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from pywerf.errors import DockerfileError, SourceExcerpt
from pywerf.frontend.dockerfile.analysis import Analysis, Subject
from pywerf.frontend.dockerfile.ast import Dockerfile
from pywerf.frontend.dockerfile.gotext import parse_bool, quote
from pywerf.frontend.dockerfile.rules import RULES
from pywerf.graph.source_range import SourceRange
from pywerf.oci.config import ImageConfig
from pywerf.oci.platform import Platform

__all__ = ["LintConfig", "LintReport", "LintWarning", "check", "lint", "parse_check"]


class LintConfig(msgspec.Struct, frozen=True):
    """Which rules count. `skip` and `experimental` name rules, or `all`; `error`: a warning ends the build."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error: bool = False

    def merged(self, other: LintConfig) -> LintConfig:
        """This one and the other together."""
        return LintConfig(self.skip | other.skip, self.experimental | other.experimental, self.error or other.error)

    def takes(self, rule: str) -> bool:
        """Whether the rule is to be reported. Experimental rules are switched on, the others off."""
        if RULES[rule].experimental:
            return not self.experimental.isdisjoint((rule, "all"))
        return self.skip.isdisjoint((rule, "all"))


class LintWarning(msgspec.Struct, frozen=True):
    """A rule that is not kept: what the rule says, what was found, and where."""

    rule: str
    description: str
    detail: str
    excerpt: SourceExcerpt

    @property
    def range(self) -> SourceRange:
        """The lines."""
        return SourceRange(self.excerpt.file, self.excerpt.first, self.excerpt.last)

    @property
    def url(self) -> str:
        """Where the rule is explained."""
        return RULES[self.rule].url

    @property
    def summary(self) -> str:
        """In one line, as BuildKit shows it during a build."""
        return f"{self.rule}: {self.detail} (line {self.excerpt.first})"


class LintReport(msgspec.Struct, frozen=True):
    """All that a check found. `error` is what would end a build; `phase` `parse` when no instruction could be meant."""

    warnings: tuple[LintWarning, ...]
    config: LintConfig
    analysis: Analysis
    error: DockerfileError | None = None

    @property
    def violation(self) -> DockerfileError | None:
        """The error that `error=true` makes of the warnings."""
        if not self.config.error or not self.warnings:
            return None
        names = ", ".join(sorted({warning.rule for warning in self.warnings}))
        return DockerfileError(
            f"lint violation found for rules: {names}",
            hint="fix them, or leave out error=true",
            source=self.warnings[0].excerpt,
        )


def parse_check(text: str) -> LintConfig:
    """Read `skip=…;experimental=…;error=…` (the directive, or the build arg BUILDKIT_DOCKERFILE_CHECK).

    Raises DockerfileError in BuildKit's words.
    """
    text = text.strip()
    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error = False
    for part in text.split(";", 2) if text else ():
        key, equals, value = part.partition("=")
        key, value = key.strip(), value.strip()
        if not equals:
            raise DockerfileError(f"invalid check option {quote(part)}", hint="write skip=RULE,RULE;error=true")
        names = frozenset(name.strip() for name in value.split(","))
        if key == "skip":
            skip = names
        elif key == "experimental":
            experimental = names
        elif key == "error":
            wanted = parse_bool(value)
            if wanted is None:
                raise DockerfileError(
                    f"failed to parse check option {quote(part)}: "
                    f"strconv.ParseBool: parsing {quote(value)}: invalid syntax"
                )
            error = wanted
        else:
            raise DockerfileError(
                f"invalid check option {quote(key)}", hint="the options are skip, experimental, error"
            )
    return LintConfig(skip, experimental, error)


def file_config(dockerfile: Dockerfile, build_args: Mapping[str, str]) -> LintConfig:
    """The configuration of a file: the build arg wins over the directive, which ends at its first blank."""
    override = build_args.get("BUILDKIT_DOCKERFILE_CHECK", "")
    if override:
        try:
            return parse_check(override)
        except DockerfileError as error:
            raise DockerfileError(
                f"failed to parse BUILDKIT_DOCKERFILE_CHECK: {error.message}", hint=error.hint
            ) from error
    directive = dockerfile.directive("check")
    if directive is None:
        return LintConfig()
    try:
        return parse_check(directive.value.partition(" ")[0])
    except DockerfileError as error:
        source = dockerfile.excerpt(directive.line, directive.line)
        raise DockerfileError(
            f"failed to parse check options: {error.message}", hint=error.hint, source=source
        ) from error


def _comment_config(config: LintConfig, comments: tuple[str, ...]) -> LintConfig:
    """The configuration for one instruction; a comment that cannot be read is only a comment."""
    for comment in comments:
        key, equals, value = comment.partition("=")
        if equals and key.strip().lower() == "check":
            try:
                return config.merged(parse_check(value.strip().partition(" ")[0]))
            except DockerfileError:
                return config
    return config


def check(dockerfile: Dockerfile, subject: Subject | None = None) -> LintReport:
    """All warnings and the first error. Raises DockerfileError for a wrong `# check=` alone."""
    subject = subject or Subject()
    config = file_config(dockerfile, subject.build_args)
    analysis = Analysis(dockerfile, subject)
    warnings = [
        LintWarning(finding.rule, RULES[finding.rule].description, finding.detail, finding.source)
        for finding in analysis.findings
        if _comment_config(config, finding.comments).takes(finding.rule)
    ]
    warnings.sort(key=lambda warning: (warning.excerpt.first, warning.rule, warning.detail))
    return LintReport(tuple(dict.fromkeys(warnings)), config, analysis, analysis.error)


def lint(
    dockerfile: Dockerfile,
    *,
    build_args: Mapping[str, str] | None = None,
    target: str = "",
    build_platform: Platform | None = None,
    target_platform: Platform | None = None,
    base_image: Callable[[str, Platform], ImageConfig | None] | None = None,
    ignored: Callable[[str], bool] | None = None,
    contexts: frozenset[str] = frozenset(),
) -> list[LintWarning]:
    """The warnings of a Dockerfile, sorted by line; without `target` for all of its stages (see `Subject`).

    Errors are not reported here: a build does that. Raises DockerfileError for a wrong `# check=`.
    """
    subject = Subject(
        build_args or {}, target, build_platform, target_platform, base_image, ignored, not target, contexts
    )
    return list(check(dockerfile, subject).warnings)
