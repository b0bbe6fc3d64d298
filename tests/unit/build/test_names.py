from __future__ import annotations

import pytest

from pywerf.build.names import full_name, local_candidates
from pywerf.errors import InvalidReference

SHA = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("app", "localhost/app:latest"),
        ("app:1", "localhost/app:1"),
        ("team/app", "localhost/team/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("docker.io/app", "docker.io/library/app:latest"),
        ("reg.example.com:5000/app:1", "reg.example.com:5000/app:1"),
        ("docker://reg.example.com/app", "reg.example.com/app:latest"),
    ],
)
def test_names_that_are_given_are_made_full_as_buildah_does(text: str, full: str) -> None:
    assert full_name(text) == full
    assert full_name(full) == full


@pytest.mark.parametrize("text", ["", "UPPER", "a:b:c", f"app@{SHA}", "docker://"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(InvalidReference):
        full_name(text)


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("app", ["localhost/app:latest", "docker.io/library/app:latest", "app"]),
        ("app:1", ["localhost/app:1", "docker.io/library/app:1", "app:1"]),
        ("team/app", ["localhost/team/app:latest", "docker.io/team/app:latest", "team/app"]),
        ("reg.example.com/app", ["reg.example.com/app:latest"]),
        (f"reg.example.com/app@{SHA}", [f"reg.example.com/app@{SHA}", SHA]),
        ("0123abc", ["localhost/0123abc:latest", "docker.io/library/0123abc:latest", "0123abc"]),
        (SHA, [f"localhost/sha256:{'a' * 64}", f"docker.io/library/sha256:{'a' * 64}", SHA]),
        ("Not A Name", ["Not A Name"]),
    ],
)
def test_where_a_name_is_looked_for(text: str, candidates: list[str]) -> None:
    assert local_candidates(text) == candidates
