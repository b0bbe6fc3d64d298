from __future__ import annotations

import pytest

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile import parse, parse_instructions
from pywerf.frontend.dockerfile.instructions import find_base_stage, find_stage, parse_onbuild
from pywerf.oci.config import Healthcheck as HealthcheckConfig

ROWS = {
    "instruction_row": [
        {"name": "near", "in": "FROM a\nCOPPY a b\n", "message": "unknown instruction: COPPY (did you mean COPY?)"},
        {"name": "flag", "in": "FROM a\nCOPY --form=b c d\n", "message": "unknown flag: --form (did you mean from?)"},
        {"name": "twice", "in": "FROM a\nCOPY --from=b --from=c d e\n", "message": "duplicate flag specified: --from"},
        {"name": "no value", "in": "FROM a\nCOPY --from a b\n", "message": "missing a value on flag: --from"},
        {"name": "empty bool", "in": "FROM a\nCOPY --link= a b\n", "message": "missing a value on flag: --link"},
        {
            "name": "no bool",
            "in": "FROM a\nCOPY --link=1 a b\n",
            "message": "expecting boolean value for flag --link, not: 1",
        },
        {"name": "copy one", "in": "FROM a\nCOPY a\n", "message": "COPY requires at least two arguments"},
        {"name": "add none", "in": "FROM a\nADD\n", "message": "ADD requires at least two arguments"},
        {
            "name": "heredoc dest",
            "in": "FROM a\nCOPY x <<E\nE\n",
            "message": "COPY cannot accept a heredoc as a destination",
        },
        {"name": "from none", "in": "FROM\n", "message": "FROM requires either one or three arguments"},
        {"name": "from two", "in": "FROM a b\n", "message": "FROM requires either one or three arguments"},
        {"name": "from not as", "in": "FROM a is b\n", "message": "FROM requires either one or three arguments"},
        {"name": "stage digit", "in": "FROM a AS 1b\n", "message": 'invalid name for build stage: "1b"'},
        {"name": "stage symbol", "in": "FROM a AS b/c\n", "message": 'invalid name for build stage: "b/c"'},
        {"name": "stage letters", "in": "FROM a AS é\n", "message": "invalid name for build stage"},
        {"name": "no stage", "in": "RUN a\nFROM b\n", "message": "no build stage in current context"},
        {"name": "args alone", "in": "ARG a\n", "message": "dockerfile contains no stages to build"},
        {"name": "arg none", "in": "ARG\n", "message": "ARG requires at least one argument"},
        {"name": "arg blank", "in": "ARG =a\n", "message": "ARG names can not be blank"},
        {"name": "env none", "in": "FROM a\nENV\n", "message": "ENV requires at least one argument"},
        {"name": "env blank", "in": "FROM a\nENV =b\n", "message": "ENV names can not be blank"},
        {"name": "label blank", "in": "FROM a\nLABEL a=b =c\n", "message": "LABEL names can not be blank"},
        {"name": "user none", "in": "FROM a\nUSER\n", "message": "USER requires exactly one argument"},
        {"name": "workdir none", "in": "FROM a\nWORKDIR\n", "message": "WORKDIR requires exactly one argument"},
        {"name": "signal none", "in": "FROM a\nSTOPSIGNAL\n", "message": "STOPSIGNAL requires exactly one argument"},
        {"name": "volume none", "in": "FROM a\nVOLUME []\n", "message": "VOLUME requires at least one argument"},
        {
            "name": "volume blank",
            "in": 'FROM a\nVOLUME [" "]\n',
            "message": "VOLUME specified can not be an empty string",
        },
        {"name": "expose none", "in": "FROM a\nEXPOSE\n", "message": "EXPOSE requires at least one argument"},
        {"name": "shell none", "in": "FROM a\nSHELL []\n", "message": "SHELL requires at least one argument"},
        {
            "name": "shell text",
            "in": "FROM a\nSHELL sh -c\n",
            "message": "SHELL requires the arguments to be in JSON form",
        },
        {"name": "onbuild none", "in": "FROM a\nONBUILD\n", "message": "ONBUILD requires at least one argument"},
        {
            "name": "onbuild from",
            "in": "FROM a\nONBUILD from b\n",
            "message": "FROM isn't allowed as an ONBUILD trigger",
        },
        {"name": "onbuild maintainer", "in": "FROM a\nONBUILD MAINTAINER b\n", "message": "MAINTAINER isn't allowed"},
        {"name": "onbuild twice", "in": "FROM a\nONBUILD ONBUILD RUN b\n", "message": "Chaining ONBUILD via"},
        {"name": "health none", "in": "FROM a\nHEALTHCHECK\n", "message": "HEALTHCHECK requires at least one argument"},
        {
            "name": "health type",
            "in": "FROM a\nHEALTHCHECK foo\n",
            "message": 'Unknown type "FOO" in HEALTHCHECK (try CMD)',
        },
        {"name": "health cmd", "in": "FROM a\nHEALTHCHECK CMD\n", "message": "Missing command after HEALTHCHECK CMD"},
        {
            "name": "health none arg",
            "in": "FROM a\nHEALTHCHECK NONE a\n",
            "message": "HEALTHCHECK NONE takes no arguments",
        },
        {
            "name": "health short",
            "in": "FROM a\nHEALTHCHECK --interval=1us CMD a\n",
            "message": "cannot be less than 1ms",
        },
        {
            "name": "health unit",
            "in": "FROM a\nHEALTHCHECK --timeout=5 CMD a\n",
            "message": 'missing unit in duration "5"',
        },
        {
            "name": "health retries",
            "in": "FROM a\nHEALTHCHECK --retries=-1 CMD a\n",
            "message": "--retries cannot be negative (-1)",
        },
        {
            "name": "health number",
            "in": "FROM a\nHEALTHCHECK --retries=x CMD a\n",
            "message": 'parsing "x": invalid syntax',
        },
        {"name": "network", "in": "FROM a\nRUN --network=x b\n", "message": 'invalid network mode "x"'},
        {"name": "security", "in": "FROM a\nRUN --security=x b\n", "message": 'security "x" is not valid'},
        {
            "name": "mount from",
            "in": "FROM a\nRUN --mount=from=$x b\n",
            "message": "'from' doesn't support variable expansion",
        },
        {"name": "mount csv", "in": 'FROM a\nRUN --mount=\\"x b\n', "message": "failed to parse csv mounts"},
        {"name": "mont", "in": "FROM a\nRUN --mont=x b\n", "message": "unknown flag: --mont (did you mean mount?)"},
    ]
}


def test_refused_rows(instruction_row: dict) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_instructions(parse(instruction_row["in"]))
    assert instruction_row["message"] in caught.value.message
    assert caught.value.source is not None
    assert caught.value.source.lines


def test_the_caret_stands_under_the_word() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_instructions(parse("FROM a\n  COPY --chown=1 --form=b c d\n", "D"))
    source = caught.value.source
    assert source is not None
    assert (source.file, source.first, source.column, source.width) == ("D", 2, 17, 6)
    assert source.lines == ("  COPY --chown=1 --form=b c d",)
    assert str(caught.value).startswith("D:2: unknown flag: --form")


def test_from(read) -> None:
    stages = read.stages("FROM --platform=$P a\nFROM b As Name.x_1-y\nfrom name.x_1-y\n")
    assert [(stage.base.image, stage.name, stage.base.as_word) for stage in stages] == [
        ("a", "", ""),
        ("b", "name.x_1-y", "As"),
        ("name.x_1-y", "", ""),
    ]
    assert stages[0].base.platform == "$P"
    assert stages[1].base.alias_word == "Name.x_1-y"


def test_arg_env_label(read) -> None:
    assert read.command("ARG a b= c='d e'").pairs == (c.ArgPair("a"), c.ArgPair("b", ""), c.ArgPair("c", "'d e'"))
    assert read.command("ENV a=$b c='d e'").pairs == (c.KeyValue("a", "$b"), c.KeyValue("c", "'d e'"))
    assert read.command("ENV a b = c").pairs == (c.KeyValue("a", "b = c", legacy=True),)
    assert read.command("LABEL a=b").pairs == (c.KeyValue("a", "b"),)


def test_descriptions(read) -> None:
    text = "# V the version\nARG V W=1\n# base what all have\nFROM a AS base\n\n# not x\nFROM b AS x\n"
    stages, (arg,) = parse_instructions(parse(text))
    assert [pair.comment for pair in arg.pairs] == ["the version", ""]
    assert [stage.description for stage in stages] == ["what all have", ""]


@pytest.mark.parametrize(
    ("line", "form", "argv", "shell"),
    [
        ('CMD ["a", "b c"]', "exec", ("a", "b c"), ""),
        ("CMD a  'b' ", "shell", (), "a  'b'"),
        ("CMD []", "exec", (), ""),
        ("CMD", "shell", (), ""),
        ('ENTRYPOINT ["a"]', "exec", ("a",), ""),
        ("RUN a && b", "shell", (), "a && b"),
        ('RUN ["a"]', "exec", ("a",), ""),
        ("RUN", "shell", (), ""),
    ],
)
def test_exec_and_shell_form(read, line: str, form: str, argv: tuple[str, ...], shell: str) -> None:
    command = read.command(line)
    assert (command.form, command.argv, command.line) == (form, argv, shell)


def test_run_options(read) -> None:
    run = read.command("RUN --network=none --security=insecure --device=a=b,required --mount=type=ssh,id=x true")
    assert (run.network, run.security, run.devices) == ("none", "insecure", (c.Device("a=b", True),))
    assert [(mount.type, mount.id) for mount in run.mounts] == [("ssh", "x")]
    assert run.flags_used == ("device", "mount", "network", "security")


def test_scripts(read) -> None:
    script = read.command("RUN <<EOF\n  a\nb\nEOF")
    assert script.is_script
    assert script.shell_line == "  a\nb\n"
    assert script.script_file is None
    assert script.summary == "RUN <<EOF (a...)"
    shebang = read.command("RUN <<-'EOF'\n\t#!/usr/bin/env python3\n\tprint()\nEOF")
    assert shebang.script_file == ("EOF", "#!/usr/bin/env python3\nprint()\n")
    piped = read.command("RUN cat <<A >/x && cat <<B\n1\nA\n2\nB")
    assert not piped.is_script
    assert piped.shell_line == "cat <<A >/x && cat <<B\n1\nA\n2\nB"
    assert read.command("RUN a").shell_line == "a"


def test_copy_and_add(read) -> None:
    copy = read.command("COPY --from=x --chown=1:2 --chmod=u+x --link --parents --exclude=*.a --exclude=b c d e/")
    assert (copy.sources, copy.dest, copy.from_, copy.chown, copy.chmod) == (("c", "d"), "e/", "x", "1:2", "u+x")
    assert (copy.link, copy.parents, copy.exclude) == (True, True, ("*.a", "b"))
    add = read.command("ADD --checksum=sha256:ab --keep-git-dir=false --unpack a b")
    assert (add.checksum, add.keep_git_dir, add.unpack) == ("sha256:ab", False, True)
    plain = read.command('ADD ["a b", "c"]')
    assert (plain.sources, plain.dest, plain.keep_git_dir, plain.unpack) == (("a b",), "c", None, None)
    inline = read.command("COPY <<-A x <<'B' /d/\n\t1\nA\n$2\nB")
    assert inline.sources == ("x",)
    assert inline.inline == (c.InlineSource("A", "1\n"), c.InlineSource("B", "$2\n", expand=False))


def test_healthcheck(read) -> None:
    line = "HEALTHCHECK --interval=1m30s --timeout=1.5s --start-period=0 --start-interval=5ms --retries=3 CMD a b"
    second = 1_000_000_000
    assert read.command(line).config == HealthcheckConfig(
        ("CMD-SHELL", "a b"), 90 * second, 3 * second // 2, 0, second // 200, 3
    )
    assert read.command('HEALTHCHECK cmd ["a"]').config.test == ("CMD", "a")
    assert read.command("HEALTHCHECK none").config.test == ("NONE",)


def test_the_rest(read) -> None:
    assert read.command('SHELL ["a", "-c"]').argv == ("a", "-c")
    assert read.command("USER a b").user == "a b"
    assert read.command("WORKDIR /a b").path == "/a b"
    assert read.command("VOLUME /a /b").paths == ("/a", "/b")
    assert read.command("EXPOSE 90 80/udp $x").ports == ("$x", "80/udp", "90")
    assert read.command("STOPSIGNAL $s").signal == "$s"
    assert read.command("MAINTAINER a b").maintainer == "a b"
    assert read.command("onbuild  RUN <<E\na\nE").expression == "RUN <<E\na\nE"


def test_places(read) -> None:
    (stage,) = read.stages("FROM a\n\n# why\nRun a \\\n b\nEXPOSE 1\n")
    run = stage.commands[0]
    assert (run.keyword, run.name, run.code, run.comments) == ("Run", "RUN", "Run a  b", ("why",))
    assert (run.source.first, run.source.last, run.source.lines) == (4, 5, ("Run a \\", " b"))
    assert (stage.range.first, stage.range.last) == (1, 6)
    assert str(run.range) == "Dockerfile:4"


def test_find_stage(read) -> None:
    stages = read.stages("FROM a AS x\nFROM b AS y\nFROM c AS X\n")
    assert find_stage(stages, "Y") is stages[1]
    assert find_stage(stages, "x") is stages[2]
    assert find_stage(stages, "0") is stages[0]
    assert find_stage(stages, "z") is None
    assert find_stage(stages, "") is None
    assert find_base_stage(stages, 2, "x") is stages[0]
    assert find_base_stage(stages, 0, "x") is None
    assert find_base_stage(stages, 2, "X") is None
    with pytest.raises(DockerfileError, match="invalid stage index 3"):
        find_stage(stages, "3")


def test_onbuild_triggers(read) -> None:
    base = read.stages("FROM a\n")[0].base
    command = parse_onbuild("COPY . /app", base.source)
    assert isinstance(command, c.Copy)
    assert command.source is base.source
    for text, message in (
        ("FOO a", "unknown instruction"),
        ("RUN a\nRUN b", "single expression"),
        ("FROM a", "trigger"),
    ):
        with pytest.raises(DockerfileError, match=message) as caught:
            parse_onbuild(text, base.source)
        assert caught.value.source is base.source
