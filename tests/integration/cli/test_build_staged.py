"""Staged images with both backends: one stage an instruction, published, found again, and the same as a plain build."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support import image_compare, machine
from support.git_repository import GitRepository
from support.werf import Werf

pytestmark = pytest.mark.integration

META = "project: shop\nconfigVersion: 1\ncleanup: {keepPolicies: [{references: {branch: main}}]}\n---\n"
SECTION = """\
image: NAME
dockerfile: Dockerfile
staged: STAGED
args: {V: "7"}
secrets:
- {id: token, value: very secret}
"""
PERMIT = "giterminismConfigVersion: 1\nconfig: {secrets: {allowValueIds: [token]}}\n"
DOCKERFILE = """\
ARG BASE=%s
FROM ${BASE} AS tools
ARG V=1
ENV GREETING="hello $V"
RUN echo "$GREETING $V" > /tool && chmod 755 /tool
ONBUILD RUN echo triggered > /triggered

FROM ${BASE} AS data
WORKDIR /data/sub
COPY --chown=1000:1000 src ./src
RUN <<X
set -e
cat src/a > both
cat src/b >> both
X

FROM tools AS mid
LABEL mid=1
CMD ["mid"]

FROM mid
ARG V
ARG UNSET
SHELL ["/bin/sh", "-ec"]
USER 1000:1000
WORKDIR /app
COPY --from=data /data/sub/both /app/both
COPY --from=1 /data/sub/src/a /app/a
COPY src/b /app/b$V
COPY <<Y /app/inline
v is $V
Y
USER root
RUN --mount=type=bind,source=src,target=/mnt --mount=from=data,source=/data,target=/d \\
  --mount=type=secret,id=token \\
  cat /mnt/a /d/sub/both > /mounted; wc -c < /run/secrets/token > /size; echo ${V} ${UNSET-none} $GREETING > /args
ARG V=2
RUN echo $V > /again
VOLUME /vol
EXPOSE 80 90-91/udp
STOPSIGNAL TERM
HEALTHCHECK --interval=5s CMD true
ENV PATH=/x:$PATH A=b
ONBUILD COPY . /onbuild
ENTRYPOINT ["/bin/sh"]
CMD echo hi
RUN echo after > /after
ENTRYPOINT ["/bin/sh", "-c"]
"""
WITHOUT_HEREDOCS = (
    ("RUN <<X\nset -e\ncat src/a > both\ncat src/b >> both\nX\n", "RUN cat src/a src/b > both\n"),
    ("COPY <<Y /app/inline\nv is $V\nY\n", "COPY src/a /app/inline\n"),
)
"""For Debian's Docker, which knows none."""
STAGES = (
    *("SHELL1", "USER2", "WORKDIR3", "COPY4", "COPY5", "COPY6", "COPY7", "USER8", "RUN9", "RUN10", "VOLUME11"),
    *("EXPOSE12", "STOPSIGNAL13", "HEALTHCHECK14", "ENV15", "ONBUILD16", "ENTRYPOINT17", "CMD18", "RUN19"),
    "ENTRYPOINT20",
)


def section(name: str, staged: bool) -> str:
    return SECTION.replace("NAME", name).replace("STAGED", str(staged).lower())


class Site(msgspec.Struct):
    """`werf` with a backend, a repository of a registry, and a project."""

    werf: Werf
    repo: str
    git: GitRepository
    docker: str = ""

    def build(self, *words: str, env: dict[str, str] | None = None) -> dict[str, dict[str, Any]]:
        """Build; the records of the report."""
        report = self.git.path.parent / "report.json"
        self.told = self.call("build", *words, env=env, report=report).stderr
        found: dict[str, dict[str, Any]] = json.loads(report.read_text())["Images"]
        return found

    told: str = ""

    def words(self, *words: str, report: Path | None = None) -> tuple[str, ...]:
        repo = ("--repo", self.repo) if self.repo else ()
        network = ("--backend-network", "host") if self.docker and words[0] == "build" else ()
        saved = () if report is None else ("--save-build-report", "--build-report-path", str(report))
        end = words.index("--") if "--" in words else len(words)
        return (*words[:end], *repo, *network, *saved, *words[end:])

    def call(
        self, *words: str, report: Path | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self.werf.run(*self.words(*words, report=report), cwd=self.git.path, env=env, timeout=600)

    def read(self, record: dict[str, Any]) -> image_compare.Image:
        """An image as it is stored, without the labels that tell of its building."""
        archive = self.git.path.parent / "image.tar"
        name = record["DockerImageName"]
        if self.repo:
            machine.run("skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{name}", f"oci-archive:{archive}")
        elif self.docker:
            machine.run("docker", "--host", self.docker, "save", "-o", archive, name)
        else:
            self.werf.export(name, archive)
        image = image_compare.read_image(archive)
        archive.unlink()
        labels = image.config["config"].get("Labels") or {}
        image.config["config"]["Labels"] = {key: value for key, value in labels.items() if not key.startswith("werf")}
        return image


def stages(record: dict[str, Any]) -> tuple[str, ...]:
    return tuple(stage["Name"] for stage in record["Stages"])


def rebuilt(record: dict[str, Any]) -> tuple[str, ...]:
    return tuple(stage["Name"] for stage in record["Stages"] if stage["Rebuilt"])


@pytest.fixture(params=["embedded", "docker"])
def site(
    request: pytest.FixtureRequest,
    make_werf: Callable[[str], Werf],
    registry: str,
    busybox: str,
    tmp_path: Path,
) -> Site:
    """A project whose image is there staged and plain."""
    werf = make_werf("store")
    host = ""
    if request.param == "docker":
        host = request.getfixturevalue("docker").host
        werf.env.update(WERF_BUILDAH_MODE="docker", DOCKER_HOST=host)
    dockerfile = DOCKERFILE % busybox
    for written, other in WITHOUT_HEREDOCS if host else ():
        assert written in dockerfile
        dockerfile = dockerfile.replace(written, other)
    git = GitRepository(tmp_path / "shop")
    git.commit(
        {
            "werf.yaml": META + section("web", True) + "---\n" + section("plain", False),
            "werf-giterminism.yaml": PERMIT,
            "Dockerfile": dockerfile,
            "src/a": "a\n",
            "src/b": "b\n",
        }
    )
    return Site(werf, f"{registry}/staged/{request.param}/{tmp_path.name}", git, host)


def test_built_changed_in_the_middle_and_found_again(site: Site) -> None:
    first = site.build()
    web = first["web"]
    assert web["ConfigType"] == "staged"
    assert stages(web) == rebuilt(web) == STAGES
    assert "Building stage web/mid/COPY" not in site.told
    assert "Building stage web/mid/RUN1" in site.told, "the trigger of tools"
    assert "Building stage web/tools/ENV1" in site.told
    assert "Building stage web/data/RUN3" in site.told
    staged, plain = site.read(web), site.read(first["plain"])
    assert image_compare.differences(staged, plain) == []
    assert "very secret" not in staged.to_json()
    assert json.dumps(first).count("very secret") == 0
    if not site.docker:
        made = [line["created_by"] for line in plain.history if not line["created_by"].startswith("ARG ")]
        assert [line["created_by"] for line in staged.history] == made

    again = site.build()
    assert rebuilt(again["web"]) == ()
    assert "Use previously built image for web/RUN9" in site.told
    assert again["web"]["DockerImageName"] == web["DockerImageName"]

    site.git.commit({"Dockerfile": (site.git.path / "Dockerfile").read_text().replace("echo $V >", "echo v$V >")})
    changed = site.build("web")["web"]
    assert rebuilt(changed) == STAGES[STAGES.index("RUN10") :]
    assert "web/data" not in site.told, "nothing is copied of it again"

    site.git.commit({"src/b": "c\n"})
    second = site.build()
    assert rebuilt(second["web"]) == STAGES[STAGES.index("COPY4") :], "the first instruction that has to do with it"
    assert "Building stage web/data/COPY2" in site.told
    assert "Use previously built image for web/mid/CMD3" in site.told
    assert image_compare.differences(site.read(second["web"]), site.read(second["plain"])) == []


def test_local_stages_and_the_second_scheme(site: Site) -> None:
    site.repo = ""
    env = {"WERF_STAGED_DOCKERFILE_VERSION": "v2"}
    first = site.build(env=env)
    assert stages(first["web"])[:3] == ("FROM1", "SHELL2", "USER3")
    assert rebuilt(first["web"]) == stages(first["web"])
    assert image_compare.differences(site.read(first["web"]), site.read(first["plain"])) == []
    assert rebuilt(site.build(env=env)["web"]) == ()
    forced = site.build("plain", env={"WERF_FORCE_STAGED_DOCKERFILE": "1", **env})["plain"]
    assert forced["ConfigType"] == "staged"
    assert rebuilt(forced) == (), "the same stages as those of the other image"
    assert forced["DockerImageName"] == first["web"]["DockerImageName"]


def test_run_stage_image_and_export_take_the_last_stage(site: Site, registry: str) -> None:
    web = site.build("web")["web"]
    assert site.call("stage", "image", "web").stdout.strip() == web["DockerImageName"]
    said = site.call(
        "run", "--docker-options", "--rm --network host", "web", "--", "cat /args /again /app/b7 /triggered"
    )
    assert said.stdout == "7 none hello 7\n7\nb\ntriggered\n"
    target = f"{registry}/exported/{site.git.path.parent.name}:1"
    site.call("export", "web", "--tag", target)
    config = json.loads(
        machine.run("skopeo", "inspect", "--tls-verify=false", "--config", f"docker://{target}").stdout
    )["config"]
    assert not [label for label in config["Labels"] if label.startswith("werf")]
    assert config["Labels"]["mid"] == "1"


def test_two_clones_at_once_come_to_the_same_stages(
    site: Site, make_werf: Callable[[str], Werf], tmp_path: Path
) -> None:
    other = make_werf("other")
    other.env.update(
        {key: value for key, value in site.werf.env.items() if key.startswith(("DOCKER_", "WERF_BUILDAH_M"))}
    )
    other.env["WERF_HOME"] = site.werf.env["WERF_HOME"] = str(tmp_path / "locks")
    machine.run("git", "clone", "-q", site.git.path, tmp_path / "clone")
    reports = [tmp_path / "one.json", tmp_path / "two.json"]
    processes = [
        werf.start(*site.words("build", "web", report=report), cwd=folder)
        for werf, report, folder in (
            (site.werf, reports[0], site.git.path),
            (other, reports[1], tmp_path / "clone"),
        )
    ]
    said = [process.communicate(timeout=600)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    one, two = (json.loads(report.read_text())["Images"]["web"] for report in reports)
    assert [stage["DockerImageName"] for stage in one["Stages"]] == [
        stage["DockerImageName"] for stage in two["Stages"]
    ]


def test_an_error_is_told_at_its_line(site: Site) -> None:
    text = (site.git.path / "Dockerfile").read_text().replace("RUN echo $V > /again", "RUN exit 9")
    site.git.commit({"Dockerfile": text})
    failed = site.werf.run(*site.words("build", "web"), cwd=site.git.path, check=False, timeout=600)
    assert failed.returncode == 1
    line = text.splitlines().index("RUN exit 9") + 1
    assert f"Dockerfile:{line}" in failed.stderr
    assert "image web, stage RUN10" in failed.stderr
