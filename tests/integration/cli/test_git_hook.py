"""`werf build` in a hook of git's, which sets variables for another repository than the one that is built."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support import machine
from support.git_repository import GitRepository
from support.werf import Werf

pytestmark = pytest.mark.integration

WERF_YAML = "project: shop\nconfigVersion: 1\n---\nimage: web\ndockerfile: Dockerfile\n"


def test_a_hook_builds_what_it_goes_to(werf: Werf, tmp_path: Path) -> None:
    shop = GitRepository(tmp_path / "shop")
    shop.commit({"werf.yaml": WERF_YAML, "Dockerfile": "FROM scratch\nCOPY page /\n", "page": "1"})
    expected = werf.run("build", "--log-quiet", cwd=shop.path).stdout
    main = GitRepository(tmp_path / "main")
    main.commit({"file": "x"})
    machine.run(
        "git", "-C", main.path, "worktree", "add", "-q", tmp_path / "linked"
    )  # there git sets GIT_DIR for hooks
    hook = main.path / ".git/hooks/post-commit"
    said = tmp_path / "said"
    hook.write_text(
        f'#!/bin/sh\necho "$GIT_DIR" > {said}\ncd {shop.path} && {" ".join(werf.command)} build --log-quiet '
        f"--check-built-images >> {said} 2>&1\n"
    )
    hook.chmod(0o755)
    commit = ("-c", "user.name=me", "-c", "user.email=me@example.org", "commit", "-q", "--allow-empty", "-m", "two")
    machine.run("git", "-C", tmp_path / "linked", *commit, env={**os.environ, **werf.env})
    git_dir, _, built = said.read_text().partition("\n")
    assert git_dir == str(main.path / ".git/worktrees/linked")
    assert built == expected
