"""Remote caches between two machines, with real builds."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import machine
from support.fake_registry import FakeRegistry

pytestmark = pytest.mark.integration

RUN_ONE = "RUN cat /input > /result && date +%s%N >> /result"
RUN_TWO = "RUN cat /result > /final && date +%s%N >> /final"


def layer_requests(registry: FakeRegistry, repository: str) -> list[str]:
    """The digests of layers that were downloaded from a repository."""
    layers = {
        layer["digest"]
        for (name, _), (data, _) in registry.manifests.items()
        if name == repository
        for layer in json.loads(data)["layers"]
    }
    return [
        request.path.rpartition("/")[2]
        for request in registry.seen("GET", f"/{repository}/blobs/")
        if request.path.rpartition("/")[2] in layers
    ]


def document(registry: FakeRegistry, repository: str, tag: str = "1") -> dict[str, Any]:
    data, _ = registry.manifests[repository, tag]
    found: dict[str, Any] = json.loads(registry.blobs[repository, json.loads(data)["config"]["digest"]])
    return found


def test_a_second_machine_runs_nothing_and_fetches_nothing(
    machine_of: Callable[[str], Any], project: Path, fake_registry: FakeRegistry
) -> None:
    cache = f"type=registry,ref={fake_registry.host}/cache:1"
    first = machine_of("one").build(project, "--cache-to", f"{cache},mode=max")
    assert RUN_ONE in first.ran
    fake_registry.requests.clear()
    two = machine_of("two")
    second = two.build(project, "--cache-from", cache)
    assert second.ran == []
    assert second.id == first.id
    assert layer_requests(fake_registry, "cache") == []
    assert len(fake_registry.seen("GET", "/cache/")) == 2  # the manifest and the document
    assert fake_registry.seen("PUT") == fake_registry.seen("POST") == []
    # now the files are wanted: the layers come
    layers = json.loads(fake_registry.manifests["cache", "1"][0])["layers"]
    assert two.file("/final").splitlines()[0] == "first"
    fetched = layer_requests(fake_registry, "cache")
    assert 0 < len(set(fetched)) < len(layers), "the layers of the other stage are not needed"


def test_only_what_a_later_step_needs_is_fetched(
    machine_of: Callable[[str], Any], project: Path, fake_registry: FakeRegistry
) -> None:
    cache = f"type=registry,ref={fake_registry.host}/cache:1"
    machine_of("one").build(project, "--cache-to", f"{cache},mode=max")
    (project / "Dockerfile").write_text((project / "Dockerfile").read_text() + "RUN cat /final /last > /more\n")
    fake_registry.requests.clear()
    two = machine_of("two")
    second = two.build(project, "--cache-from", cache)
    assert second.ran == ["RUN cat /final /last > /more"]
    in_chain = {record["layer"]["digest"] for record in document(fake_registry, "cache")["records"] if record["parent"]}
    fetched = layer_requests(fake_registry, "cache")
    assert len(fetched) == 3
    assert set(fetched) <= in_chain


def test_what_was_verified_stays(
    machine_of: Callable[[str], Any], tmp_path: Path, busybox: str, fake_registry: FakeRegistry
) -> None:
    cache = f"type=registry,ref={fake_registry.host}/cache:1"
    (tmp_path / "app").mkdir()
    file = tmp_path / "app/Dockerfile"
    file.write_text(f"FROM {busybox}\nRUN date +%s%N > /one\nRUN date +%s%N > /two\n")
    machine_of("one").build(tmp_path / "app", "--cache-to", cache)
    two = machine_of("two")
    two.build(tmp_path / "app", "--cache-from", cache)
    # nothing has been read of the layers yet: their records are not in our own cache
    file.write_text(f"FROM {busybox}\nRUN date +%s%N > /one\nRUN date +%s%N > /two\nRUN cat /one /two\n")
    assert two.build(tmp_path / "app", "--cache-from", cache).ran == ["RUN cat /one /two"]
    assert two.build(tmp_path / "app").ran == []


def test_modes(machine_of: Callable[[str], Any], project: Path, fake_registry: FakeRegistry) -> None:
    one = machine_of("one")
    one.build(
        project,
        *("--cache-to", f"type=registry,ref={fake_registry.host}/min:1,mode=min"),
        *("--cache-to", f"type=registry,ref={fake_registry.host}/max:1,mode=max,compression=zstd"),
        *("--cache-to", f"type=registry,ref={fake_registry.host}/plain:1,compression=uncompressed"),
    )
    assert len(document(fake_registry, "min")["records"]) == 3
    assert len(document(fake_registry, "max")["records"]) == 5
    types = {
        layer["mediaType"].rpartition(".")[2] for layer in json.loads(fake_registry.manifests["max", "1"][0])["layers"]
    }
    assert types == {"tar+zstd"}
    # the other stage is not in a min cache, but what it leads to is: its RUN is done again, and gives another result
    other = machine_of("two").build(project, "--cache-from", f"type=registry,ref={fake_registry.host}/min:1")
    assert other.ran[0] == "COPY --from=build /result /result"
    for repository in ("max", "plain"):
        built = machine_of(repository).build(project, "--cache-from", f"{fake_registry.host}/{repository}:1")
        assert (built.ran == []) is (repository == "max")


def test_inline(machine_of: Callable[[str], Any], tmp_path: Path, busybox: str, registry: str) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/Dockerfile").write_text(f"FROM {busybox}\nRUN date +%s%N > /made\nENV A=1\nRUN cp /made /again\n")
    name = f"{registry}/inline/app:1"
    first = machine_of("one").build(tmp_path / "app", "--cache-to", "type=inline", "-o", f"type=registry,name={name}")
    second = machine_of("two").build(tmp_path / "app", "--cache-from", name)
    assert (second.ran, second.id) == ([], first.id)
    empty = machine_of("three").build(tmp_path / "app", "--cache-from", busybox)
    assert "is an image without a cache in it" in empty.said
    refused = machine_of("four").build(tmp_path / "app", "--cache-to", "type=inline", "--format", "docker", check=False)
    assert refused.status == 2
    assert "needs an OCI image" in refused.said


def test_folder(machine_of: Callable[[str], Any], project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    first = machine_of("one").build(project, "--cache-to", f"type=local,dest={folder},mode=max")
    assert (folder / "oci-layout").exists()
    two = machine_of("two")
    second = two.build(project, "--cache-from", f"type=local,src={folder}")
    assert (second.ran, second.id) == ([], first.id)
    machine.run("rm", "-rf", folder)  # the image does not depend on it
    assert two.file("/final").startswith("first\n")
    gone = machine_of("three").build(project, "--cache-from", f"type=local,src={folder}")
    assert RUN_ONE in gone.ran


def test_repository(machine_of: Callable[[str], Any], project: Path, registry: str) -> None:
    repository = f"{registry}/buildah/cache"
    first = machine_of("one").build(project, "--cache-to", repository)
    two = machine_of("two")
    second = two.build(project, "--cache-from", repository)
    assert (second.ran, second.id) == ([], first.id)
    (project / "last").write_text("changed\n")
    third = two.build(project, "--cache-from", repository, "--cache-to", repository)
    assert third.ran == ["COPY last /last"]
    assert machine_of("three").build(project, "--cache-from", repository).ran == []


def test_two_builders_and_one_name(
    machine_of: Callable[[str], Any], tmp_path: Path, busybox: str, fake_registry: FakeRegistry
) -> None:
    cache = f"type=registry,ref={fake_registry.host}/shared:1"
    contexts = []
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo {name} > /{name}\n")
        contexts.append(tmp_path / name)
    machines = [machine_of(f"m{number}") for number in range(len(contexts))]
    threads = [
        threading.Thread(target=one.build, args=(context, "--cache-to", cache))
        for one, context in zip(machines, contexts, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other = machine_of("other")
    for context in contexts:
        assert other.build(context, "--cache-from", cache).ran == []


def test_an_unreachable_cache_is_a_warning(machine_of: Callable[[str], Any], project: Path) -> None:
    nobody = f"127.0.0.1:{machine.free_port()}"
    built = machine_of("one").build(
        project, "--retry=0", "--cache-from", f"{nobody}/cache:1", "--cache-from", f"{nobody}/cache"
    )
    assert RUN_ONE in built.ran
    assert built.said.count("is not used") == 2
    failed = machine_of("two").build(
        project, "--retry=0", "--cache-to", f"type=registry,ref={nobody}/cache:1", check=False
    )
    assert failed.status == 125
    assert "was not written" in failed.said
    ignored = machine_of("three").build(
        project, "--retry=0", "--cache-to", f"type=registry,ref={nobody}/cache:1,ignore-error=true"
    )
    assert "was not written" in ignored.said


@pytest.mark.parametrize("harm", ["other bytes", "gone", "other layer"])
def test_layers_that_are_not_what_they_should_be(
    machine_of: Callable[[str], Any], project: Path, fake_registry: FakeRegistry, harm: str
) -> None:
    """The build goes on without the cache, and nothing of it stays in our own."""
    cache = f"type=registry,ref={fake_registry.host}/cache:1"
    machine_of("one").build(project, "--cache-to", f"{cache},mode=max")
    manifest = json.loads(fake_registry.manifests["cache", "1"][0])
    digests = [layer["digest"] for layer in manifest["layers"]]
    if harm == "other bytes":
        for digest, layer in zip(digests, manifest["layers"], strict=True):
            fake_registry.substitutes[digest] = bytes(layer["size"])
    elif harm == "gone":
        for digest in digests:
            del fake_registry.blobs["cache", digest]
    else:  # the records lead to each other's layers, which are all there and whole
        found = document(fake_registry, "cache")
        layers = [record["layer"] for record in found["records"]]
        for record, layer in zip(found["records"], [*layers[1:], layers[0]], strict=True):
            record["layer"] = layer
        data = json.dumps(found).encode()
        manifest["config"].update(digest=fake_registry.add_blob("cache", data), size=len(data))
        fake_registry.add_manifest("cache", "1", json.dumps(manifest).encode())
    (project / "Dockerfile").write_text((project / "Dockerfile").read_text() + "RUN cat /final /last > /more\n")
    two = machine_of("two")
    built = two.build(project, "--cache-from", cache)
    assert "is not used" in built.said
    assert two.file("/more").splitlines()[0] == "first"
    assert two.file("/more").splitlines()[-1] == "last"
    again = two.build(project)
    assert (again.ran, again.id) == ([], built.id)


def test_an_image_from_a_cache_is_pushed_without_its_bytes(
    machine_of: Callable[[str], Any], project: Path, fake_registry: FakeRegistry
) -> None:
    cache = f"type=registry,ref={fake_registry.host}/cache:1"
    machine_of("one").build(project, "--cache-to", f"{cache},mode=max")
    fake_registry.requests.clear()
    two = machine_of("two")
    built = two.build(project, "--cache-from", cache, "-o", f"type=registry,name={fake_registry.host}/app:1")
    assert built.ran == []
    assert layer_requests(fake_registry, "cache") == []
    layers = json.loads(fake_registry.manifests["app", "1"][0])["layers"]
    cached = {layer["digest"] for layer in json.loads(fake_registry.manifests["cache", "1"][0])["layers"]}
    mounted = {request.query.get("mount") for request in fake_registry.seen("POST", "/app/")}
    assert {layer["digest"] for layer in layers} & cached
    assert {layer["digest"] for layer in layers} & cached <= mounted


@pytest.mark.parametrize("flag", ["output", "cache"])
def test_layers_are_pushed_while_the_build_runs(
    machine_of: Callable[[str], Any], tmp_path: Path, busybox: str, fake_registry: FakeRegistry, flag: str
) -> None:
    """The last command waits until the layer of the first one has arrived."""
    context = tmp_path / "app"
    context.mkdir()
    arrived = f"http://{fake_registry.host}/v2/app/blobs/arrived"
    (context / "Dockerfile").write_text(
        f"FROM {busybox}\nRUN echo first > /first\n"
        f"RUN n=0; until wget -q -O /tmp/x {arrived}; do n=$((n+1)); [ $n -lt 300 ] || exit 1; sleep 0.1; done\n"
    )
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            if any(request.query.get("digest") for request in fake_registry.seen("PUT", "/blobs/uploads/")):
                fake_registry.blobs["app", "arrived"] = b"yes"

    watcher = threading.Thread(target=watch)
    watcher.start()
    name = f"{fake_registry.host}/app:1"
    flags = ["-o", f"type=registry,name={name}"] if flag == "output" else ["--cache-to", f"type=registry,ref={name}"]
    try:
        machine_of("one").build(context, *flags)
    finally:
        over.set()
        watcher.join()
    assert ("app", "1") in fake_registry.manifests


def test_cache_mounts(machine_of: Callable[[str], Any], tmp_path: Path, busybox: str, registry: str) -> None:
    context = tmp_path / "app"
    context.mkdir()
    (context / "Dockerfile").write_text(
        f"FROM {busybox}\nARG TURN\n"
        "RUN --mount=type=cache,target=/packages --mount=type=cache,id=other,target=/other"
        " echo $TURN >> /packages/log && ln -sf log /packages/link && echo x >> /other/x && cp /packages/log /log\n"
    )
    place = f"ref={registry}/mounts/app:1"
    folder = tmp_path / "mounts"
    one = machine_of("one")
    first = one.build(
        context,
        *("--build-arg", "TURN=1", "--cache-to", f"type=cache-mount,id=all,{place}"),
        *("--cache-to", f"type=cache-mount,id=other,dest={folder}"),
    )
    assert "exporting the cache mount /packages" in first.said
    again = one.build(context, "--build-arg", "TURN=1", "--cache-to", f"type=cache-mount,id=all,{place}")
    assert "exporting the cache mount" not in again.said, "nothing has used it"
    two = machine_of("two")
    two.build(
        context,
        *("--build-arg", "TURN=2", "--cache-from", f"type=cache-mount,id=all,{place}"),
        *("--cache-to", f"type=cache-mount,id=/packages,{place}"),
    )
    assert two.file("/log") == "1\n2\n"
    three = machine_of("three")
    three.build(context, "--build-arg", "TURN=3", "--cache-from", f"type=cache-mount,id=/packages,{place}")
    assert three.file("/log") == "1\n2\n3\n"
    four = machine_of("four")
    four.build(context, "--build-arg", "TURN=4", "--cache-from", f"type=cache-mount,id=other,src={folder}")
    assert four.file("/log") == "4\n"


def test_one_name_to_read_and_to_write(
    machine_of: Callable[[str], Any], project: Path, fake_registry: FakeRegistry
) -> None:
    """As CI has it: every build reads and writes the same cache."""
    cache = f"type=registry,ref={fake_registry.host}/cache:1"
    flags = ("--cache-from", cache, "--cache-to", f"{cache},mode=max")
    first = machine_of("one").build(project, *flags)
    fake_registry.requests.clear()
    second = machine_of("two").build(project, *flags)
    assert (second.ran, second.id) == ([], first.id)
    assert fake_registry.seen("PUT") == fake_registry.seen("POST") == []
    assert layer_requests(fake_registry, "cache") == []
    (project / "last").write_text("changed\n")
    third = machine_of("three").build(project, *flags)
    assert third.ran == ["COPY last /last"]
    assert len({request.path for request in fake_registry.seen("POST", "/cache/")}) == 1
    assert len(fake_registry.seen("POST", "/cache/")) == 2  # the new layer, and the new document
    assert machine_of("four").build(project, "--cache-from", cache).ran == []


def test_platforms(
    machine_of: Callable[[str], Any], tmp_path: Path, registry: str, fake_registry: FakeRegistry
) -> None:
    context = tmp_path / "app"
    context.mkdir()
    (context / "Dockerfile").write_text(
        "FROM scratch AS base\nARG TARGETARCH\nCOPY arch-$TARGETARCH /arch\n"
        "FROM scratch\nCOPY --from=base /arch /arch\n"
    )
    for name in ("amd64", "arm64"):
        (context / f"arch-{name}").write_text(name)
    cache = f"type=registry,ref={fake_registry.host}/cache:1,mode=max"
    image = f"{registry}/platforms/app:1"
    both = ("--platform", "linux/amd64,linux/arm64")
    machine_of("one").build(
        context, *both, "--cache-to", cache, "--cache-to", "type=inline", "-o", f"type=registry,name={image}"
    )
    assert len(document(fake_registry, "cache")["records"]) == 4
    for name, source in (("two", cache.partition(",mode")[0]), ("three", image)):
        again = machine_of(name).build(context, *both, "--cache-from", source)
        assert again.ends("COPY --from=base") == ["CACHED", "CACHED"], again.said
        assert layer_requests(fake_registry, "cache") == []


def test_flags_that_do_not_go_together(machine_of: Callable[[str], Any], project: Path) -> None:
    one = machine_of("one")
    for flags, says in (
        (("--cache-to", "type=gha"), "not supported"),
        (("--cache-from", "type=inline"), "read from its image"),
        (("--cache-to", "host.io/cache", "--layers=false"), "leave --layers=false out"),
        (("--cache-to", "type=inline", "--squash"), "no layers of steps"),
    ):
        refused = one.build(project, *flags, check=False)
        assert refused.status != 0
        assert says in refused.said
        assert refused.steps == {}, "it is refused before anything is done"
