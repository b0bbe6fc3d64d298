"""A shell in a command that has failed, in every isolation, typed to on a real terminal."""

from __future__ import annotations

import pytest

from support.isolations import OWN_KERNEL, Isolated
from support.terminal import Terminal

pytestmark = pytest.mark.integration

DOCKERFILE = """\
FROM base
ARG VERSION=1.2
ENV COLOR=red
WORKDIR /work
RUN mkdir /sub && chown 12:34 /sub /work
USER 12:34
RUN --mount=type=cache,target=/cache,uid=12 --mount=type=secret,id=word,uid=12 --mount=type=tmpfs,target=/memory \
    echo begun > left; echo one >> /cache/file; false
"""


def files_of_store(isolated: Isolated) -> str:
    """Snapshots, temporary files and cache mounts."""
    root = isolated.werf("buildah", "info", "--format", "{{.store.GraphRoot}}").stdout.strip()
    script = f"cd {root} && ls snapshots/*/ tmp 2>/dev/null | grep -v '^l$'; find cache-mounts -type f -exec cat {{}} +"
    return isolated.werf("buildah", "unshare", "sh", "-c", script, check=False).stdout


def test_the_state_that_a_command_has_left(isolated: Isolated) -> None:
    context = isolated.write(f"{isolated.name}-look/Dockerfile", DOCKERFILE).parent
    secret = isolated.write(f"{isolated.name}-secret", "hidden\n")
    words = isolated.words(
        *("buildah", "build", *isolated.flags, "--introspect-error", "--secret", f"id=word,src={secret}", context)
    )
    with Terminal(words) as terminal:
        terminal.expect("introspection: the state after the command that failed")
        terminal.expect(r"\$ ")
        terminal.ask("echo $VERSION-$COLOR $(pwd) $(id -u):$(id -g) .", r"1\.2-red /work 12:34 \.")
        terminal.ask("cat left /run/secrets/word /cache/file", r"begun\s+hidden\s+one")
        terminal.ask("stat -c %a /memory", "1777")  # runsc's kernel lists no mounts below the root
        terminal.ask("stty size", "40 120")
        terminal.resize(33, 77)
        # the signal and the question come by different ways
        terminal.ask('until [ "$(stty size)" = "33 77" ]; do sleep 1; done; stty size', "33 77")
        if isolated.name not in OWN_KERNEL:  # there Ctrl-C ends the shell as well
            terminal.ask("sh -c 'echo now; exec sleep 100000'", "now")  # a program that the shell waits for already
            terminal.type("\x03")
            terminal.ask("echo $?", "130")
        terminal.ask("echo two >> /cache/file; echo more > left; cat /cache/file", r"one\s+two")
        terminal.type("exit 5\n")
        terminal.expect("introspection: the shell has ended with status 5")
        assert terminal.wait() == 1  # that of the command
        assert terminal.settings == terminal.before
    before = files_of_store(isolated)
    assert "two" not in before
    # nothing has become a result: the command runs, and fails, again
    again = isolated.werf("buildah", "build", *isolated.flags, "--progress=plain", context, check=False)
    assert again.returncode == 1
    assert "left" not in again.stdout
    # and there is as much as after a build without a shell, but for the line in the cache that the command adds
    assert files_of_store(isolated).replace("one\n", "") == before.replace("one\n", "")
