from __future__ import annotations

import pytest

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.expansion import expand_from, expand_instruction

ENV = {"A": "1", "P": "80", "D": "/d", "S": "x y"}


@pytest.fixture
def expand(read):
    def run(line: str, env: dict[str, str] | None = None):
        return expand_instruction(read.command(line), ENV if env is None else env)

    return run


def test_env_sees_what_was_before_it(expand) -> None:
    assert expand("ENV A=2 B=$A $A=c").pairs == (c.KeyValue("A", "2"), c.KeyValue("B", "1"), c.KeyValue("1", "c"))


def test_arg_goes_from_left_to_right(expand) -> None:
    assert expand("ARG A=2 B=$A C D='$A'").pairs == (
        c.ArgPair("A", "2"),
        c.ArgPair("B", "2"),
        c.ArgPair("C"),
        c.ArgPair("D", "$A"),
    )


def test_copy(expand) -> None:
    copy = expand("COPY --from=$A --chown=$A:$A --chmod=0$A --exclude=$A $S/f $D/")
    assert (copy.from_, copy.chown, copy.chmod, copy.exclude) == ("1", "1:1", "01", ("$A",))
    assert (copy.sources, copy.dest) == (("x y/f",), "/d/")
    # Quotes do not group words here; they only vanish.
    with pytest.raises(DockerfileError, match="single-quote"):
        expand("COPY 'q r' d")
    assert expand('COPY ["a $A", "$D"]').sources == ("a 1",)


def test_heredocs_expand_unless_quoted(expand) -> None:
    copy = expand("COPY <<A <<'B' $D\n\"$A\" it's \\$A\nA\n$A\nB")
    assert [source.content for source in copy.inline] == ['"1" it\'s $A\n', "$A\n"]


def test_add(expand) -> None:
    assert expand("ADD --checksum=sha256:$A a b").checksum == "sha256:1"


def test_run_expands_its_mounts_alone(expand) -> None:
    run = expand("RUN --mount=type=cache,target=$D,id=x echo $A")
    assert (run.line, run.mounts[0].target, run.mounts[0].id) == ("echo $A", "/d", "x")
    with pytest.raises(DockerfileError, match="unsupported mount type") as caught:
        expand("RUN --mount=type=$A true")
    assert caught.value.source is not None
    assert caught.value.source.first == 2


@pytest.mark.parametrize(
    "line",
    ["CMD echo $A", 'ENTRYPOINT ["$A"]', 'SHELL ["$A"]', "ONBUILD ENV a=$A", "MAINTAINER $A", "HEALTHCHECK CMD $A"],
)
def test_what_is_not_expanded(read, line: str) -> None:
    command = read.command(line)
    assert expand_instruction(command, ENV) is command


def test_single_values(expand) -> None:
    assert expand("USER $A:$A").user == "1:1"
    assert expand("WORKDIR ${D}/x").path == "/d/x"
    assert expand("VOLUME $D /e").paths == ("/d", "/e")
    assert expand("LABEL $A=$D").pairs == (c.KeyValue("1", "/d"),)
    with pytest.raises(DockerfileError, match="VOLUME specified can not be an empty string"):
        expand("VOLUME $X")


@pytest.mark.parametrize(
    ("words", "ports"),
    [
        ("80", ("80/tcp",)),
        ("$P/UDP", ("80/udp",)),
        ("8000-8002/sctp", ("8000/sctp", "8001/sctp", "8002/sctp")),
        ("${L}", ("1/tcp", "2/udp")),
        ("127.0.0.1:8080:80", ("80/tcp",)),
        ("[::1]:8080:80", ("80/tcp",)),
        ("8080-8081:80-81", ("80/tcp", "81/tcp")),
        ("80 80/tcp", ("80/tcp",)),
        ("$X", ()),
    ],
)
def test_ports(expand, words: str, ports: tuple[str, ...]) -> None:
    assert expand(f"EXPOSE {words}", {**ENV, "L": "1 2/udp"}).ports == ports


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("80/foo", "invalid proto: foo"),
        ("/tcp", "no port specified"),
        ("x", "invalid containerPort: x"),
        ("65536", "invalid containerPort: 65536"),
        ("9-8", "invalid containerPort: 9-8"),
        ("1-2-3", "invalid containerPort"),
        ("x:80", "invalid hostPort: x"),
        ("1-3:80-81", "invalid ranges specified"),
        ("1.2.3:80:80", "invalid IP address: 1.2.3"),
    ],
)
def test_refused_ports(expand, words: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        expand(f"EXPOSE {words}")
    assert message in caught.value.message


@pytest.mark.parametrize("signal", ["SIGTERM", "term", "9", "SIGRTMIN+3", "RTMAX-1", "SIGRTMAX"])
def test_signals(expand, signal: str) -> None:
    assert expand(f"STOPSIGNAL {signal}").signal == signal


@pytest.mark.parametrize("signal", ["SIGFOO", "0", "$X", "RTMIN+16", "RTMIN-1", "TERM+1"])
def test_refused_signals(expand, signal: str) -> None:
    with pytest.raises(DockerfileError, match="invalid signal"):
        expand(f"STOPSIGNAL {signal}")


def test_names_are_reported(read) -> None:
    matched: set[str] = set()
    unmatched: set[str] = set()
    expand_instruction(read.command("COPY $A $B $C"), ENV, matched=matched, unmatched=unmatched)
    assert (matched, unmatched) == ({"A"}, {"B", "C"})


def test_the_escape_directive_counts(read) -> None:
    (stage,) = read.stages("# escape=`\nFROM a\nENV a=b`$A\\\n")
    assert expand_instruction(stage.commands[0], ENV, "`").pairs == (c.KeyValue("a", "b$A\\"),)


def test_from(read) -> None:
    (stage,) = read.stages("FROM --platform=linux/$X $A:$B AS c\n")
    base = expand_from(stage.base, {"X": "arm64", "A": "img", "B": "2"})
    assert (base.image, base.platform, base.alias) == ("img:2", "linux/arm64", "c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM $X", "base name ($X) should not be blank"),
        ("FROM --platform=$PALTFORM a", "empty platform value from expression $PALTFORM (did you mean PLATFORM?)"),
        ("FROM --platform=a/b/c/d a", "failed to parse platform a/b/c/d"),
        ("FROM ${X:?none}", "X: none"),
    ],
)
def test_refused_from(read, text: str, message: str) -> None:
    (stage,) = read.stages(text)
    with pytest.raises(DockerfileError) as caught:
        expand_from(stage.base, {}, names=lambda: ["PLATFORM"])
    assert message in caught.value.message
    assert caught.value.source is not None
