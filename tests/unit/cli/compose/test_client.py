"""Which program is compose, and what it is asked. The programs are scripts that say how they were called."""

from __future__ import annotations

from pathlib import Path

import pytest

from pywerf.cli.compose.client import Compose, split_words
from pywerf.errors import BuildError, UsageError

NONE = "#!/bin/sh\nexit 1\n"
SAYS = '#!/bin/sh\nprintf "%s|" "${0##*/}" "$@"; printf "%s" "$WERF_A_DOCKER_IMAGE_NAME"\n'
OLD = (
    '#!/bin/sh\ncase "$*" in *--no-interpolate) exit 1 ;; *nothing*) echo no such file >&2; exit 14 ;; esac\n'
    'printf "%s" "$WERF_A_DOCKER_IMAGE_NAME"\n'
)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH; empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_the_plugin_first(programs: Path) -> None:
    put(programs, "docker-compose", SAYS)
    assert Compose("", ()).program == ("docker-compose",)
    put(programs, "docker", NONE)
    assert Compose("", ()).program == ("docker-compose",), "docker without compose"
    put(programs, "docker", SAYS)
    assert Compose("", ()).program == ("docker", "compose")
    assert Compose("/x/compose", ()).program == ("/x/compose",)


def test_none_is_an_error_that_says_what_to_install(programs: Path) -> None:
    put(programs, "docker", NONE)
    with pytest.raises(BuildError, match="docker has no compose command") as error:
        Compose("", ()).check()
    assert "docker-compose-plugin" in (error.value.hint or "")
    with pytest.raises(BuildError, match="--docker-compose-bin-path /x/compose"):
        Compose("/x/compose", ()).check()
    assert Compose("", ("-p", "x")).words("up") == ["docker", "compose", "-p", "x", "up"], "as a dry run prints it"


def test_words(programs: Path) -> None:
    put(programs, "docker-compose", SAYS)
    compose = Compose("", split_words("--docker-compose-options", "-f 'a b.yml'"))
    assert compose.words("down") == ["docker-compose", "-f", "a b.yml", "down"]
    assert compose.words("run", ["--rm"], ["web", "id"]) == [
        *("docker-compose", "-f", "a b.yml", "run", "--rm", "--", "web", "id")
    ]
    with pytest.raises(UsageError, match="--docker-compose-options ': no closing quotation"):
        split_words("--docker-compose-options", "'")


def test_the_file_is_read_without_values(programs: Path) -> None:
    put(programs, "docker", SAYS)
    text = Compose("", ("-f", "x.yml")).config({"WERF_A_DOCKER_IMAGE_NAME": "stub:A"})
    assert text == "docker|compose|-f|x.yml|config|--no-interpolate|"


def test_or_with_stubs_where_it_cannot_be(programs: Path) -> None:
    put(programs, "docker-compose", OLD)
    assert Compose("", ()).config({"WERF_A_DOCKER_IMAGE_NAME": "stub:A"}) == "stub:A"
    with pytest.raises(BuildError, match="docker-compose -f nothing config ended with status 14:\nno such file"):
        Compose("", ("-f", "nothing")).config({})


def test_the_status_is_the_programs(programs: Path) -> None:
    put(programs, "compose", '#!/bin/sh\nexit "$WERF_A_DOCKER_IMAGE_NAME"\n')
    put(programs, "killed", "#!/bin/sh\nkill -9 $$\n")
    for name, value, status in (("compose", "0", 0), ("compose", "7", 7), ("killed", "0", 137)):
        compose = Compose(name, ())
        assert compose.run(compose.words("run"), {"WERF_A_DOCKER_IMAGE_NAME": value}) == status
