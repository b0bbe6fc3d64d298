"""Every flag of `werf buildah build`, each with a real build."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support import machine
from support.builds import build, fails, write
from support.werf import Werf

pytestmark = pytest.mark.integration

Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, busybox: str) -> Project:
    """Writes a project; `BASE` in its Dockerfile is the busybox base."""
    made = 0

    def make(dockerfile: str, /, **files: str | bytes) -> Path:
        nonlocal made
        made += 1
        named = {name.replace("__", "/").replace("_dot_", "."): content for name, content in files.items()}
        return write(tmp_path / f"project{made}", {"Dockerfile": dockerfile.replace("BASE", busybox), **named})

    return make


@pytest.fixture
def werf(shared_werf: Werf) -> Werf:
    return shared_werf


# which Dockerfile


def test_file_several_are_joined(werf: Werf, project: Project, busybox: str) -> None:
    folder = project("FROM scratch\n", one=f"FROM {busybox}\nENV A=1\n", two="ENV B=2\n")
    image = build(werf, folder, "-f", folder / "one", "--file", folder / "two")
    assert {"A=1", "B=2"} <= set(image.config["Env"])


def test_file_is_looked_for_in_the_context_too(werf: Werf, project: Project) -> None:
    folder = project("nonsense", sub__my_dot_docker="FROM scratch\nLABEL from=sub\n")
    assert build(werf, folder, "-f", "sub/my.docker").config["Labels"] == {"from": "sub"}


def test_file_from_stdin(werf: Werf, project: Project) -> None:
    folder = project("nonsense", data="x")
    image = build(werf, folder, "-f", "-", stdin=b"FROM scratch\nCOPY data /\n")
    assert set(image.files) == {"data"}


def test_containerfile_goes_first(werf: Werf, project: Project) -> None:
    folder = project("FROM scratch\nLABEL from=Dockerfile\n", Containerfile="FROM scratch\nLABEL from=Containerfile\n")
    assert build(werf, folder).config["Labels"] == {"from": "Containerfile"}


def test_without_a_dockerfile(werf: Werf, tmp_path: Path) -> None:
    assert "no Containerfile or Dockerfile in" in fails(werf, write(tmp_path / "empty", {}))
    assert "no such Dockerfile" in fails(werf, tmp_path / "empty", "-f", "gone")


# names


def test_tag_several_and_iidfile(werf: Werf, project: Project, tmp_path: Path) -> None:
    folder = project("FROM scratch\nLABEL test=tags\n")
    image = build(werf, folder, "-t", "tags:1", "--tag", "reg.invalid/deep/tags", "--iidfile", tmp_path / "iid")
    assert (tmp_path / "iid").read_text() == f"sha256:{image.id}"
    listed = json.loads(werf.run("buildah", "images", "--json").stdout)
    names = next(item["names"] for item in listed if item["id"] == image.id[:12])
    assert set(names) == {"localhost/tags:1", "reg.invalid/deep/tags:latest"}


def test_a_tag_moves_and_the_old_image_stays_without_a_name(werf: Werf, project: Project) -> None:
    old = build(werf, project("FROM scratch\nLABEL n=1\n"), "-t", "moving")
    new = build(werf, project("FROM scratch\nLABEL n=2\n"), "-t", "moving")
    listed = {item["id"]: item["names"] for item in json.loads(werf.run("buildah", "images", "--all", "--json").stdout)}
    assert listed[new.id[:12]] == ["localhost/moving:latest"]
    assert not listed[old.id[:12]]


def test_a_failed_build_tags_nothing_and_writes_no_id(werf: Werf, project: Project, tmp_path: Path) -> None:
    folder = project("FROM BASE\nRUN exit 3\n")
    said = fails(werf, folder, "-t", "failing:1", "--iidfile", tmp_path / "iid", code=3)
    assert "exit code 3" in said
    assert not (tmp_path / "iid").exists()
    assert werf.run("buildah", "inspect", "failing:1", check=False).returncode != 0


@pytest.mark.parametrize("tag", ["UPPER", "a:b:c", "x@sha256:" + "0" * 64, ""])
def test_bad_tags_are_refused_before_anything_is_built(werf: Werf, project: Project, tag: str) -> None:
    said = werf.run("buildah", "build", "-t", tag, project("FROM BASE\nRUN echo ran\n"), check=False)
    assert said.returncode != 0
    assert "ran" not in said.stderr
    assert "Hint:" in said.stderr or "a name that is given" in said.stderr


# what is built


def test_build_arg_with_and_without_a_value(werf: Werf, project: Project) -> None:
    folder = project(
        "FROM BASE\nARG GIVEN\nARG FROM_HOST\nARG MISSING=default\nRUN echo $GIVEN-$FROM_HOST-$MISSING > /x\n"
    )
    image = build(
        werf,
        folder,
        *("--build-arg", "GIVEN=a b", "--build-arg", "FROM_HOST", "--build-arg", "MISSING"),
        env={"FROM_HOST": "host"},
    )
    assert image.files["x"]["size"] == len("a b-host-default\n")


def test_target(werf: Werf, project: Project) -> None:
    folder = project("FROM scratch AS one\nLABEL stage=one\nFROM BASE AS two\nRUN exit 1\n")
    for target in ("one", "ONE", "0"):
        assert build(werf, folder, "--target", target).config["Labels"] == {"stage": "one"}
    assert "three" in fails(werf, folder, "--target", "three")


def test_label_and_annotation(werf: Werf, project: Project) -> None:
    folder = project("FROM scratch\nLABEL a=1 b=2\n")
    image = build(werf, folder, "--label", "b=3", "--label", "c=d=e", "--annotation", "org.example=x")
    assert image.config["Labels"] == {"a": "1", "b": "3", "c": "d=e"}
    assert image.image.annotations == {"org.example": "x"}


def test_what_is_inherited_of_the_base(werf: Werf, project: Project) -> None:
    base = project("FROM scratch\nLABEL a=1 b=2\n")
    build(werf, base, "--annotation", "org.example.x=1", "--annotation", "org.example.y=2", "-t", "inherited:base")
    folder = project("FROM inherited:base AS one\nLABEL c=3\nFROM one\nLABEL d=4\n")
    image = build(werf, folder, "--annotation", "org.example.y=3")
    assert image.config["Labels"] == {"a": "1", "b": "2", "c": "3", "d": "4"}
    assert image.image.annotations == {"org.example.x": "1", "org.example.y": "3"}
    image = build(werf, folder, "--unsetlabel", "a,c", "--unsetannotation", "org.example.x")
    assert image.config["Labels"] == {"b": "2", "d": "4"}
    assert image.image.annotations == {"org.example.y": "2"}
    image = build(werf, folder, "--inherit-labels=false", "--inherit-annotations=false", "--label", "e=5")
    assert image.config["Labels"] == {"d": "4", "e": "5"}
    assert not image.image.annotations


def test_env_and_unsetenv(werf: Werf, project: Project) -> None:
    folder = project("FROM BASE\nENV KEEP=1 DROP=2\nRUN echo $NEW > /x\n")
    image = build(werf, folder, "--env", "NEW=new", "--env", "HOSTS", "--unsetenv", "DROP", env={"HOSTS": "h"})
    assert {"KEEP=1", "NEW=new", "HOSTS=h"} <= set(image.config["Env"])
    assert not [item for item in image.config["Env"] if item.startswith("DROP")]


def test_add_host(werf: Werf, project: Project) -> None:
    folder = project("FROM BASE\nRUN cp /etc/hosts /seen && grep -c . /etc/hosts > /count\n")
    plain = build(werf, folder)
    image = build(werf, folder, "--add-host", "db.test:10.1.2.3", "--add-host", "six.test:2001:db8::1")
    assert image.files["seen"] != plain.files["seen"]
    assert "etc/hosts" not in image.files, "what is mounted is not in the image"


def test_no_cache_and_layers(werf: Werf, project: Project) -> None:
    folder = project("FROM BASE\nRUN cat /proc/sys/kernel/random/uuid > /x\nRUN wc -c < /x\n")
    first = build(werf, folder)
    assert build(werf, folder).cached == [True, True]
    for flag in ("--no-cache", "--layers=false"):
        again = build(werf, folder, flag)
        assert again.cached == [False, False]
        assert again.id != first.id


def test_squash(werf: Werf, project: Project) -> None:
    folder = project(
        "FROM BASE\nRUN mkdir /d && echo 1 > /d/gone && echo 1 > /d/kept\n"
        "RUN rm /d/gone && echo 2 > /d/kept && rm /etc/passwd\n"
        "RUN rm -r /home && mkdir /home && touch /home/new && rm -r /var && touch /var && chmod 700 /root\n"
        "RUN rm /var && mkdir -p /var/again && ln /d/kept /d/linked\n"
        "ENV A=b\nCOPY data /d/\n",
        data="x",
    )
    plain, squashed = build(werf, folder), build(werf, folder, "--squash")
    assert (plain.image.layers, squashed.image.layers) == (6, 2)
    assert squashed.files == plain.files
    assert squashed.config == plain.config
    assert "d/gone" not in squashed.files
    assert "etc/passwd" not in squashed.files
    again = build(werf, folder, "--squash")
    assert again.document["rootfs"] == squashed.document["rootfs"], "made from the snapshots once more"
    whole = project("FROM scratch\nCOPY a /\nCOPY b /\n", a="1", b="2")
    assert build(werf, whole, "--squash").image.layers == 1


def test_timestamp_gives_the_same_image_twice(werf: Werf, project: Project) -> None:
    folder = project(
        "FROM BASE\nWORKDIR /made/here\nCOPY data .\nRUN date > /date; mkdir /dir; ln -s x /link\n", data="x"
    )
    # what the command writes depends on the clock: only times are to be the same
    folder.joinpath("Dockerfile").write_text(
        folder.joinpath("Dockerfile").read_text().replace("date > /date", "touch /date")
    )
    ids = {build(werf, folder, "--no-cache", "--timestamp", "1000000000").id for _ in range(2)}
    assert len(ids) == 1
    image = build(werf, folder, "--timestamp", "1000000000")
    assert image.id in ids
    assert image.document["created"] == "2001-09-09T01:46:40Z"
    assert {entry["created"] for entry in image.document["history"][1:]} == {"2001-09-09T01:46:40Z"}
    for path in ("made/here", "made/here/data", "date", "dir", "link"):
        assert image.files[path]["mtime"] <= 1_000_000_000


def test_source_date_epoch_gives_the_same_image_twice(werf: Werf, project: Project) -> None:
    folder = project("FROM BASE\nWORKDIR /made\nCOPY data /made/deep/\nENV A=b\n", data="x")
    ids = {build(werf, folder, "--no-cache", env={"SOURCE_DATE_EPOCH": "1000000000"}).id for _ in range(2)}
    ids |= {build(werf, folder, "--source-date-epoch", "1000000000").id}
    assert len(ids) == 1
    # steps that come from a build without it do not show their own times
    other = project("FROM BASE\nCOPY data /x\nENV C=d\n", data="y")
    assert build(werf, other).document["created"] != "2001-09-09T01:46:40Z"
    later = build(werf, other, env={"SOURCE_DATE_EPOCH": "1000000000"})
    assert {entry["created"] for entry in later.document["history"][1:]} == {"2001-09-09T01:46:40Z"}


def test_rewrite_timestamp(werf: Werf, project: Project) -> None:
    folder = project("FROM BASE\nCOPY data /data\nRUN touch /new && touch -d @999999999 /old\n", data="x")
    epoch = ("--source-date-epoch", "1000000000")
    assert build(werf, folder, *epoch).files["new"]["mtime"] > 1_000_000_000
    ids = {build(werf, folder, "--no-cache", "--rewrite-timestamp", *epoch).id for _ in range(2)}
    assert len(ids) == 1
    for flags in ((), ("--squash",)):
        files = build(werf, folder, "--rewrite-timestamp", *epoch, *flags).files
        assert [files[path]["mtime"] for path in ("data", "new", "old")] == [1_000_000_000, 1_000_000_000, 999_999_999]


@pytest.mark.parametrize(("name", "kind"), [("oci", "oci.image"), ("docker", "docker.distribution")])
def test_format(werf: Werf, project: Project, name: str, kind: str, tmp_path: Path) -> None:
    folder = project(
        'FROM BASE\nHEALTHCHECK --interval=5s CMD true\nSHELL ["/bin/sh", "-ec"]\nONBUILD RUN true\nRUN true > /x\n'
    )
    image = build(werf, folder, "--format", name, "-t", f"format:{name}")
    manifest = json.loads(werf.run("buildah", "inspect", "format:" + name).stdout)["Manifest"]
    assert kind in json.loads(manifest)["mediaType"]
    # Docker's own fields are kept in both
    assert image.config["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 5 * 10**9}
    assert image.config["Shell"] == ["/bin/sh", "-ec"]
    assert image.config["OnBuild"] == ["RUN true"]


def test_quiet_and_logfile(werf: Werf, project: Project, tmp_path: Path) -> None:
    folder = project("FROM BASE\nRUN echo the-output\n")
    quiet = werf.run("buildah", "build", "-q", "--no-cache", folder)
    assert len(quiet.stdout.strip()) == 64
    assert quiet.stderr == ""
    logged = werf.run("buildah", "build", "--no-cache", "--logfile", tmp_path / "log", folder)
    assert "the-output" in (tmp_path / "log").read_text()
    assert "the-output" not in logged.stderr


def test_quiet_still_shows_why_it_failed(werf: Werf, project: Project) -> None:
    said = fails(werf, project("FROM BASE\nRUN echo the-reason >&2; exit 9\n"), "-q", code=9)
    assert "the-reason" in said
    assert "Dockerfile:2" in said


def test_ignorefile(werf: Werf, project: Project, tmp_path: Path) -> None:
    folder = project("FROM scratch\nCOPY . /\n", _dot_dockerignore="a\n", a="1", b="2")
    (tmp_path / "other").write_text("*\n!a\n")
    assert set(build(werf, folder).files) == {".dockerignore", "Dockerfile", "b"}
    assert set(build(werf, folder, "--ignorefile", tmp_path / "other").files) == {"a"}


# platforms


def test_platform_of_what_runs_nothing(werf: Werf, project: Project) -> None:
    folder = project(
        "FROM scratch\nARG TARGETPLATFORM\nARG TARGETARCH\nLABEL p=$TARGETPLATFORM a=$TARGETARCH\nCOPY f /\n", f="x"
    )
    image = build(werf, folder, "--platform", "linux/arm64")
    assert (image.document["os"], image.document["architecture"]) == ("linux", "arm64")
    assert image.config["Labels"] == {"p": "linux/arm64", "a": "arm64"}
    image = build(werf, folder, "--os", "linux", "--arch", "arm", "--variant", "v6")
    assert (image.document["architecture"], image.document["variant"]) == ("arm", "v6")


def test_several_platforms_make_an_index(werf: Werf, project: Project, tmp_path: Path) -> None:
    folder = project("FROM scratch\nARG TARGETARCH\nLABEL a=$TARGETARCH\nCOPY f /\n", f="x")
    done = werf.run("buildah", "build", "--platform", "linux/amd64,linux/arm64", "-t", "multi:1", folder)
    werf.run("buildah", "push", "--all", "multi:1", f"oci:{tmp_path}/layout:multi")
    top = json.loads((tmp_path / "layout/index.json").read_text())["manifests"][0]
    index = json.loads((tmp_path / "layout/blobs" / top["digest"].replace(":", "/")).read_text())
    assert [item["platform"]["architecture"] for item in index["manifests"]] == ["amd64", "arm64"]
    inspect = machine.require("skopeo")
    for arch in ("amd64", "arm64"):
        shown = machine.run(inspect, "--override-arch", arch, "inspect", f"oci:{tmp_path}/layout:multi").stdout
        assert json.loads(shown)["Labels"] == {"a": arch}
    assert done.stdout.strip()


# pulling


def test_pull_policies(
    werf: Werf, project: Project, registry: str, busybox: str, make_werf: Callable[[str], Werf]
) -> None:
    fresh = make_werf("policies")
    folder = project("FROM BASE\nLABEL x=y\n")
    assert "--pull=never" in fails(fresh, folder, "--pull=never")
    build(fresh, folder, "--pull=missing")
    build(fresh, folder, "--pull=never")
    gone = write(folder.parent / "gone", {"Dockerfile": f"FROM {registry}/gone:1\n"})
    for policy in ("missing", "newer", "always"):
        assert "gone" in fails(fresh, gone, f"--pull={policy}")
    werf_tag = f"{registry}/moving:1"
    fresh.run("buildah", "push", busybox, f"docker://{werf_tag}")
    moving = write(folder.parent / "moving", {"Dockerfile": f"FROM {werf_tag}\nRUN test ! -e /new && touch /x\n"})
    build(fresh, moving)
    newer = build(werf, project("FROM BASE\nRUN touch /new\n"))
    werf.run("buildah", "push", newer.id, f"docker://{werf_tag}")
    build(fresh, moving, "--no-cache", "--pull=missing")
    fails(fresh, moving, "--no-cache", "--pull=newer", code=1)
    fails(fresh, moving, "--no-cache", "--pull=always", code=1)


def test_newer_takes_what_is_here_when_no_registry_answers(make_werf: Callable[[str], Werf], tmp_path: Path) -> None:
    werf = make_werf("offline")
    address = f"127.0.0.1:{machine.free_port()}"
    build(werf, write(tmp_path / "base", {"Dockerfile": "FROM scratch\nLABEL base=1\n"}), "-t", f"{address}/base:1")
    folder = write(tmp_path / "app", {"Dockerfile": f"FROM {address}/base:1\n"})
    assert build(werf, folder, "--pull=newer", "--retry", "0").config["Labels"] == {"base": "1"}
    fails(werf, folder, "--pull=always", "--retry", "0")
