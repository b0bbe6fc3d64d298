"""What single instructions make of a config."""

from __future__ import annotations

import pytest

from pywerf.frontend.dockerfile.config_state import CONFIG_INSTRUCTIONS, changed_config
from pywerf.frontend.dockerfile.expansion import expand_instruction
from pywerf.frontend.dockerfile.instructions import parse_instructions
from pywerf.frontend.dockerfile.parser import parse
from pywerf.oci.config import ContainerConfig

BEFORE = ContainerConfig(env=("A=1",), cmd=("old",), shell=("sh", "-x"))


def changed(text: str, *, cmd_is_own: bool = False) -> tuple[ContainerConfig, str, str]:
    (stage,), _ = parse_instructions(parse(f"FROM scratch\n{text}\n".encode(), "Dockerfile"))
    command = expand_instruction(stage.commands[0], {})
    assert type(command) in CONFIG_INSTRUCTIONS
    return changed_config(BEFORE, command, cmd_is_own=cmd_is_own)


def test_a_variable_takes_the_place_of_the_one_before() -> None:
    config, _, line = changed("ENV B=2 A=3")
    assert config.env == ("A=3", "B=2")
    assert line == "ENV B=2 A=3"


def test_a_cmd_that_was_inherited_goes_with_an_entrypoint() -> None:
    assert changed("ENTRYPOINT x")[0].cmd is None
    config, _, line = changed("ENTRYPOINT x", cmd_is_own=True)
    assert (config.entrypoint, config.cmd) == (("sh", "-x", "x"), ("old",))
    assert line == 'ENTRYPOINT ["sh","-x","x"]'


def test_the_maintainer_is_the_author() -> None:
    assert changed("MAINTAINER me") == (BEFORE, "me", "MAINTAINER me")


@pytest.mark.parametrize("text", ["RUN x", "COPY a /", "WORKDIR /x", "ARG A"])
def test_what_touches_files_or_nothing_is_not_among_them(text: str) -> None:
    (stage,), _ = parse_instructions(parse(f"FROM scratch\n{text}\n".encode(), "Dockerfile"))
    assert type(stage.commands[0]) not in CONFIG_INSTRUCTIONS
