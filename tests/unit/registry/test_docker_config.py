"""Copies of docker's configuration directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pywerf.errors import RegistryConfigError
from pywerf.registry.docker_config import config_file, copy_config, default_config_dir, docker_key, write_config


def test_where_it_is() -> None:
    home = {"HOME": "/home/u"}
    assert default_config_dir(home) == "/home/u/.docker"
    assert default_config_dir({**home, "DOCKER_CONFIG": "/d"}) == "/d"
    assert default_config_dir({**home, "DOCKER_CONFIG": "/d", "WERF_DOCKER_CONFIG": "/w"}) == "/w"
    assert config_file("/x", home) == "/x/config.json"
    assert config_file("", home) == "/home/u/.docker/config.json"


def test_docker_has_a_name_of_its_own_for_its_hub() -> None:
    assert docker_key("docker.io") == "https://index.docker.io/v1/"
    assert docker_key("localhost:5000") == "localhost:5000"


def test_a_copy_is_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    source = tmp_path / "docker"
    (source / "contexts/meta").mkdir(parents=True)
    (source / "contexts/meta/a.json").write_text("{}")
    (tmp_path / "elsewhere.json").write_text('{"auths": {}}')
    (source / "config.json").symlink_to("../elsewhere.json")
    (source / "dangling").symlink_to("nothing")
    (source / "cli-plugins").mkdir()
    os.mkfifo(source / "pipe")
    source.chmod(0o755)
    with copy_config(str(source), str(tmp_path)) as copy:
        found = Path(copy)
    assert found.parent == tmp_path
    assert found.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in found.iterdir()} == {"contexts", "config.json", "cli-plugins"}
    assert (found / "config.json").read_text() == '{"auths": {}}'
    assert not (found / "config.json").is_symlink()
    assert (found / "cli-plugins").readlink() == source / "cli-plugins"


def test_without_a_directory_the_copy_is_empty(tmp_path: Path) -> None:
    with copy_config(str(tmp_path / "none"), str(tmp_path)) as copy:
        assert os.listdir(copy) == []


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), copy_config(str(tmp_path / "none"), str(tmp_path)):
        raise KeyError
    assert os.listdir(tmp_path) == []
    with pytest.raises(RegistryConfigError, match="no such file"), copy_config("", str(tmp_path / "none")):
        pass


def test_written_from_text(tmp_path: Path) -> None:
    with write_config('{"auths": {}}', str(tmp_path)) as made:
        path = Path(made, "config.json")
    assert path.read_text() == '{"auths": {}}'
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["secret", "[]", '{"auths"', "[" * 100_000])
def test_text_that_is_no_configuration(text: str, tmp_path: Path) -> None:
    with pytest.raises(RegistryConfigError) as raised, write_config(text, str(tmp_path)):
        pass
    assert text not in str(raised.value)
    assert os.listdir(tmp_path) == []
