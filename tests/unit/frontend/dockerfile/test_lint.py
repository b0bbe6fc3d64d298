from __future__ import annotations

import pytest

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile import parse
from pywerf.frontend.dockerfile.analysis import Subject
from pywerf.frontend.dockerfile.lint import LintConfig, check, lint, parse_check
from pywerf.frontend.dockerfile.rules import RULES
from pywerf.oci.config import ContainerConfig, ImageConfig
from pywerf.oci.platform import Platform

AMD = Platform.of("linux", "amd64")


def image(name: str, platform: Platform) -> ImageConfig | None:
    """Every image is the same, but for one that nobody knows."""
    if name == "unknown":
        return None
    return ImageConfig(AMD, ContainerConfig(env=("PATH=/bin", "HOME_DIR=/h"), onbuild=("COPY $trigger /",)))


def found(text: str, **options) -> list[tuple[str, int, str]]:
    options.setdefault("base_image", image)
    options.setdefault("build_platform", AMD)
    return [(w.rule, w.range.first, w.detail) for w in lint(parse(text), **options)]


CASES = [
    ("StageNameCasing", "FROM scratch AS Up", 1, "Stage name 'Up' should be lowercase"),
    ("FromAsCasing", "FROM scratch as up", 1, "'as' and 'FROM' keywords' casing do not match"),
    ("FromAsCasing", "from scratch AS up", 1, "'AS' and 'from' keywords' casing do not match"),
    ("NoEmptyContinuation", "FROM scratch\nCOPY a \\\n\n b", 4, "Empty continuation line"),
    (
        "ConsistentInstructionCasing",
        "FROM scratch\ncopy a b\nCOPY a b",
        2,
        "Command 'copy' should match the case of the command majority (uppercase)",
    ),
    (
        "ConsistentInstructionCasing",
        "from scratch\nCopy a b",
        2,
        "Command 'Copy' should match the case of the command majority (lowercase)",
    ),
    (
        "DuplicateStageName",
        "FROM scratch AS b\nFROM scratch AS b",
        2,
        'Duplicate stage name "b", stage names should be unique',
    ),
    (
        "ReservedStageName",
        "FROM scratch AS context",
        1,
        'Stage name should not use the same name as reserved stage "context"',
    ),
    (
        "JSONArgsRecommended",
        "FROM scratch\nCMD a",
        2,
        "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
    ),
    (
        "MaintainerDeprecated",
        "FROM scratch\nMAINTAINER a",
        2,
        "Maintainer instruction is deprecated in favor of using label",
    ),
    (
        "UndefinedArgInFrom",
        "ARG tag=a\nFROM img:${tag}${tga}",
        2,
        "FROM argument 'tga' is not declared (did you mean tag?)",
    ),
    (
        "WorkdirRelativePath",
        "FROM scratch\nWORKDIR app/",
        2,
        'Relative workdir "app/" can have unexpected results if the base image changes',
    ),
    ("UndefinedVar", "FROM scratch\nCOPY $foo .\nARG foo", 2, "Usage of undefined variable '$foo'"),
    (
        "UndefinedVar",
        "FROM scratch\nENV PATH=$PAHT:/x",
        2,
        "Usage of undefined variable '$PAHT' (did you mean $PATH?)",
    ),
    (
        "MultipleInstructionsDisallowed",
        'FROM scratch\nCMD ["a"]\nRUN b\nCMD ["c"]',
        2,
        "Multiple CMD instructions should not be used in the same stage because only the last one will be used",
    ),
    (
        "LegacyKeyValueFormat",
        "FROM scratch\nLABEL a b",
        2,
        '"LABEL key=value" should be used instead of legacy "LABEL key value" format',
    ),
    (
        "RedundantTargetPlatform",
        "FROM --platform=${TARGETPLATFORM} scratch",
        1,
        "Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the default behavior",
    ),
    (
        "SecretsUsedInArgOrEnv",
        "FROM scratch\nENV GIT_token=",
        2,
        'Do not use ARG or ENV instructions for sensitive data (ENV "GIT_token")',
    ),
    (
        "SecretsUsedInArgOrEnv",
        "FROM scratch\nARG apikey",
        2,
        'Do not use ARG or ENV instructions for sensitive data (ARG "apikey")',
    ),
    (
        "InvalidDefaultArgInFrom",
        "ARG V\nFROM img:$V",
        2,
        "Default value for ARG img:$V results in empty or invalid base image name",
    ),
    (
        "FromPlatformFlagConstDisallowed",
        "FROM --platform=linux/amd64 scratch",
        1,
        'FROM --platform flag should not use constant value "linux/amd64"',
    ),
    (
        "ExposeProtoCasing",
        "FROM scratch\nEXPOSE 80/TcP",
        2,
        "Defined protocol '80/TcP' in EXPOSE instruction should be lowercase",
    ),
    (
        "ExposeInvalidFormat",
        "FROM scratch\nEXPOSE 8080:80",
        2,
        "EXPOSE instruction should not define an IP address or host-port mapping, found '8080:80'",
    ),
    (
        "InvalidBaseImagePlatform",
        "FROM --platform=linux/arm64 img AS arm64",
        1,
        'Base image img was pulled with platform "linux/amd64", expected "linux/arm64" for current build',
    ),
    (
        "CopyIgnoredFile",
        "# check=experimental=CopyIgnoredFile\nFROM scratch\nADD ./secret /a",
        3,
        'Attempting to Add file "secret" that is excluded by .dockerignore',
    ),
    (
        "InvalidDefinitionDescription",
        "# check=experimental=all\n# what\nFROM scratch AS base",
        3,
        "Comment for FROM should follow the format: `# base <description>`",
    ),
    (
        "InvalidDefinitionDescription",
        "# check=experimental=all\n# what\nARG a b\nFROM scratch",
        3,
        "Comment for ARG should follow the format: `# <arg_key> <description>`",
    ),
    (
        "CmdWithoutEffect",
        'FROM scratch\nCMD ["a"]\nENTRYPOINT b',
        2,
        "CMD has no effect: the shell form of ENTRYPOINT (line 3) takes no arguments",
    ),
    (
        "InvalidSourceDateEpoch",
        "ARG SOURCE_DATE_EPOCH=soon\nFROM scratch",
        1,
        'SOURCE_DATE_EPOCH "soon" is no number of seconds and names no source: it is not used',
    ),
    (
        "HeredocIgnoresErrors",
        "# check=experimental=all\nFROM scratch\nRUN <<E\na\nb\nE",
        3,
        "Only the last command of the here-document can fail the build: begin it with `set -e`",
    ),
]


@pytest.mark.parametrize(
    ("rule", "text", "line", "detail"), CASES, ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)]
)
def test_a_rule_that_is_not_kept(rule: str, text: str, line: int, detail: str) -> None:
    warnings = found(text + "\n", build_args={"V": "1"} if rule == "InvalidDefaultArgInFrom" else {}, ignored=is_secret)
    assert (rule, line, detail) in warnings
    if not RULES[rule].experimental:
        silent = found(f"# check=skip={rule}\n{text}\n", ignored=is_secret)
        assert rule not in [name for name, _, _ in silent]


def is_secret(path: str) -> bool:
    return path == "secret"


def test_every_rule_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(RULES)


KEPT = [
    "FROM scratch AS low",
    "from scratch as low\ncopy a b",
    'FROM scratch\nSHELL ["/x"]\nCMD a',
    'FROM scratch AS a\nSHELL ["/x"]\nFROM a\nENTRYPOINT b',
    "FROM scratch AS a\nWORKDIR /app\nFROM a\nWORKDIR sub",
    "FROM scratch\nARG foo\nCOPY Dockerfile${foo} .",
    "FROM scratch AS a\nARG foo=b\nFROM a\nCOPY $foo .",
    "FROM scratch\nRUN echo $nothing",
    'FROM scratch\nENTRYPOINT ["a"]\nCMD ["b"]',
    *(f"ARG SOURCE_DATE_EPOCH={value}\nFROM scratch AS when" for value in ("", "0", "-1", "context", "When", "named")),
    "FROM scratch\nRUN <<E\na\nb\nE",
    *(
        f"# check=experimental=all\nFROM scratch\n{text}\nE"
        for text in (
            "RUN <<E\n# c\nset -eu\na\nb",
            "RUN <<E\n\n a \\\n  b && \n# c\n c\n",
            "RUN <<E\n#!/bin/x\na\nb",
            'SHELL ["/bin/bash", "-o", "pipefail", "-euc"]\nRUN <<E\na\nb',
            "RUN cat <<E\na\nb",
        )
    ),
    "FROM scratch\nENV P=$PATH",
    "FROM unknown\nENV P=$SURELY_THERE${X:?}",
    'FROM scratch AS a\nCMD ["a"]\nFROM a\nCMD ["b"]',
    "ARG DEBUG\nFROM scra${DEBUG:-tch}",
    "ARG BUILDPLATFORM=linux/amd64\nFROM --platform=$BUILDPLATFORM scratch",
    "FROM --platform=$BUILDPLATFORM scratch",
    "FROM --platform=linux/amd64 scratch AS my_amd64_stage",
    "FROM scratch\nENV PUBLIC_KEY=1 KEY_FILE=2 monkey=3\nARG token_version",
    "ARG V\nFROM img:a$V\nCOPY $HOME_DIR /",
    "# what\nFROM scratch AS base",
    "FROM scratch\nCOPY secret /a",
    "# check=experimental=all\nFROM scratch AS a\nFROM scratch\nCOPY --from=a secret /a\nADD https://x/secret b",
    "# check=experimental=InvalidDefinitionDescription\n# base it\nFROM scratch AS base\n# no\n\nARG V\n# no\n#\nARG W",
]


@pytest.mark.parametrize("text", KEPT)
def test_rules_that_are_kept(text: str) -> None:
    warnings = found(text + "\n", ignored=is_secret, contexts=frozenset({"named"}))
    # The image's own trigger uses a variable that nobody sets.
    assert [w for w in warnings if "$trigger" not in w[2]] == []


def test_triggers_of_the_base_are_checked_where_they_come_from() -> None:
    assert found("FROM img\n") == [("UndefinedVar", 1, "Usage of undefined variable '$trigger'")]
    text = "FROM scratch AS a\nONBUILD WORKDIR x\nFROM a\n"
    assert [(rule, line) for rule, line, _ in found(text)] == [("WorkdirRelativePath", 3)]


def test_a_comment_switches_a_rule_off_for_one_instruction() -> None:
    text = "FROM scratch\n# check=skip=JSONArgsRecommended\nCMD a\n\nFROM scratch\nENTRYPOINT b\n"
    assert [(rule, line) for rule, line, _ in found(text)] == [("JSONArgsRecommended", 6)]
    assert [line for _, line, _ in found(text.replace("skip=J", "skip:J"))] == [3, 6]


def test_a_target_hides_what_it_does_not_need() -> None:
    text = "FROM scratch AS a\nENV a b\nFROM scratch AS b\nENV c d\n"
    assert [line for _, line, _ in found(text)] == [2, 4]
    assert [line for _, line, _ in found(text, target="b")] == [4]
    report = check(parse(text), Subject())
    assert [warning.range.first for warning in report.warnings] == [4]


def test_what_was_found_before_an_error_is_told() -> None:
    report = check(parse("FROM scratch AS Bad\nMAINTAINER me\nBADCMD\n"))
    assert [warning.rule for warning in report.warnings] == ["StageNameCasing", "MaintainerDeprecated"]
    assert report.error is not None
    assert report.error.message == "unknown instruction: BADCMD"
    assert (report.analysis.phase, report.error.source.first) == ("parse", 3)
    report = check(parse("FROM --platform=$BULIDPLATFORM scratch\n"))
    assert [warning.rule for warning in report.warnings] == ["UndefinedArgInFrom"]
    assert report.error.message.endswith("(did you mean BUILDPLATFORM?)")


def test_error_true() -> None:
    text = "# check=skip=FromAsCasing;error=true\nFROM scratch as b\ncopy a b\nCOPY a b\n"
    report = check(parse(text))
    assert report.violation is not None
    assert report.violation.message == "lint violation found for rules: ConsistentInstructionCasing"
    assert check(parse(text.replace("copy", "COPY"))).violation is None
    assert check(parse(text), Subject({"BUILDKIT_DOCKERFILE_CHECK": "skip=all"})).violation is None
    loud = check(parse("# check=skip=all\nFROM scratch as b\n"), Subject({"BUILDKIT_DOCKERFILE_CHECK": "error=true"}))
    assert loud.violation is not None


def test_options() -> None:
    assert parse_check("") == LintConfig()
    assert parse_check("skip=A, B;error=1;experimental=all") == LintConfig(
        frozenset({"A", "B"}), frozenset({"all"}), error=True
    )
    for text, message in (
        ("skip", 'invalid check option "skip"'),
        ("foo=bar", 'invalid check option "foo"'),
        ("error=x", 'failed to parse check option "error=x": strconv.ParseBool: parsing "x": invalid syntax'),
    ):
        with pytest.raises(DockerfileError) as caught:
            parse_check(text)
        assert caught.value.message == message
    with pytest.raises(DockerfileError, match="failed to parse check options") as caught:
        lint(parse("# check=foo\nFROM a\n"))
    assert caught.value.source.first == 1
    with pytest.raises(DockerfileError, match="failed to parse BUILDKIT_DOCKERFILE_CHECK"):
        lint(parse("FROM a\n"), build_args={"BUILDKIT_DOCKERFILE_CHECK": "x"})


def test_the_value_of_a_warning() -> None:
    (warning,) = lint(parse("FROM scratch\nCMD a\n", "Other"))
    assert warning.url == "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"
    assert warning.description.startswith("JSON arguments recommended for ENTRYPOINT/CMD")
    assert warning.summary.startswith("JSONArgsRecommended: JSON arguments")
    assert warning.summary.endswith("(line 2)")
    assert (warning.excerpt.file, warning.excerpt.lines) == ("Other", ("CMD a",))
    assert all(rule.url.startswith("docs/dockerfile.md#") for rule in RULES.values() if rule.own)
    assert RULES["SecretsUsedInArgOrEnv"].url.endswith("/secrets-used-in-arg-or-env/")
