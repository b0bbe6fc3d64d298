"""The flags about containers that `build` and `run` share: read as buildah reads them, errors name the flag."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywerf.build.options import ContainerOptions
from pywerf.cli.container_values import memory_size
from pywerf.errors import UsageError
from pywerf.isolation.spec import Device, IdMap, Namespaces, Resources

Werf = Callable[..., Any]
OWN = "/proc/self/ns/net"


def asked(werf: Werf, session: Any, *words: str) -> ContainerOptions:
    """What `build` makes of the flags, and `run` as well."""
    assert werf("buildah", "build", *words).code == 0
    found: ContainerOptions = session.built.container
    session.calls.clear()
    assert werf("run", *words, "image").code == 0
    ((name, _, keywords),) = session.calls
    assert (name, keywords["container"]) == ("run", found)
    return found


@pytest.mark.parametrize(
    ("words", "resources"),
    [
        ([], Resources()),
        (["-m", "512m"], Resources(memory=512 << 20)),
        (["--memory=1.5g", "--memory-swap", "2g"], Resources(memory=3 << 29, memory_swap=2 << 30)),
        (["--memory=1g", "--memory-swap=-1"], Resources(memory=1 << 30, memory_swap=-1)),
        (["--memory=0"], Resources()),
        (["-c", "512"], Resources(cpu_shares=512)),
        (["--cpu-shares=0"], Resources()),
        (["--cpu-quota=-1", "--cpu-period", "50000"], Resources(cpu_quota=-1, cpu_period=50_000)),
        (["--cpuset-cpus=0-3, 5", "--cpuset-mems=0"], Resources(cpuset_cpus="0-3,5", cpuset_mems="0")),
    ],
)
def test_resources(werf: Werf, session: Any, words: list[str], resources: Resources) -> None:
    assert asked(werf, session, *words).resources == resources


@pytest.mark.parametrize(
    ("words", "namespaces"),
    [
        (["--pid=host", "--ipc=host", "--uts=host"], Namespaces(pid="host", ipc="host", uts="host")),
        (["--pid=private", "--ipc=container", "--uts="], Namespaces(asked=("--pid", "--ipc"))),
        (["--cgroupns=host"], Namespaces(cgroup="host")),
        (["--ipc", OWN, "--uts", f"ns:{OWN}"], Namespaces(ipc=OWN, uts=OWN)),
        (["--network", f"ns:{OWN}"], Namespaces(network=OWN)),
        (["--userns=host"], Namespaces(user="host")),
        (["--userns=auto"], Namespaces(user="private")),
        (["--userns", OWN], Namespaces(user=OWN)),
        (
            ["--userns-uid-map=0:100000:10,10:200000:5", "--userns-gid-map", "0:5:1"],
            Namespaces(
                user="private",
                uid_map=(IdMap(0, 100_000, 10), IdMap(10, 200_000, 5)),
                gid_map=(IdMap(0, 5, 1),),
            ),
        ),
        (
            ["--userns-gid-map", "0:5:1"],
            Namespaces(user="private", uid_map=(IdMap(0, 5, 1),), gid_map=(IdMap(0, 5, 1),)),
        ),
    ],
)
def test_namespaces(werf: Werf, session: Any, words: list[str], namespaces: Namespaces) -> None:
    assert asked(werf, session, *words).namespaces == namespaces


def test_a_path_of_a_network_is_a_private_network(werf: Werf, session: Any) -> None:
    assert werf("buildah", "build", "--network", f"ns:{OWN}").code == 0
    assert session.built.network == "private"


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (["--security-opt", "seccomp=unconfined"], {"seccomp": "unconfined"}),
        (["--security-opt=seccomp:p.json", "--security-opt=apparmor=mine"], {"seccomp": "p.json", "apparmor": "mine"}),
        (
            ["--security-opt=label=type:x_t", "--security-opt=label:level:s0:c1"],
            {"labels": ("type:x_t", "level:s0:c1")},
        ),
        (["--security-opt=label=disable"], {"labels": ("disable",)}),
        (["--security-opt=no-new-privileges"], {"no_new_privileges": True}),
        (["--security-opt=no-new-privileges:true"], {"no_new_privileges": True}),
        (["--security-opt=no-new-privileges=false"], {}),
        (["--cgroup-parent", "/builds"], {"cgroup_parent": "/builds"}),
        (["--dns", "192.0.2.1,::1", "--dns=192.0.2.2"], {"dns_servers": ("192.0.2.1", "::1", "192.0.2.2")}),
        (["--dns-search=a.b", "--dns-option", "ndots:1"], {"dns_searches": ("a.b",), "dns_options": ("ndots:1",)}),
        (["--dns=none"], {"dns_servers": ("none",)}),
        (["--no-hosts"], {"hosts": False}),
        (["--no-hostname"], {"hostname": False}),
        (["--group-add=staff,7", "--group-add", "x"], {"groups": ("staff", "7", "x")}),
        (["--device", "/dev/null"], {"devices": (Device("/dev/null", "/dev/null"),)}),
        (["--device", "/dev/null:rw"], {"devices": (Device("/dev/null", "/dev/null", "rw"),)}),
        (["--device=/dev/null:/dev/n"], {"devices": (Device("/dev/null", "/dev/n"),)}),
        (["--device=/dev/null:/dev/n:r"], {"devices": (Device("/dev/null", "/dev/n", "r"),)}),
    ],
)
def test_others(werf: Werf, session: Any, words: list[str], fields: dict[str, Any]) -> None:
    assert asked(werf, session, *words) == ContainerOptions(**fields)


def test_a_link_to_a_device_is_followed_and_a_folder_stands_for_what_is_in_it(
    werf: Werf, session: Any, tmp_path: Path
) -> None:
    (tmp_path / "zero").symlink_to("/dev/zero")
    found = asked(werf, session, "--device", f"{tmp_path}/zero:/dev/z", "--device", "/dev/pts:/dev/x:rw").devices
    assert found[0] == Device("/dev/zero", "/dev/z")
    assert Device("/dev/pts/ptmx", "/dev/x/ptmx", "rw") in found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--memory=x"], "--memory x: not a size"),
        (["-m", "-5"], "--memory -5: not a size"),
        (["--memory-swap=5m"], "--memory-swap 5m: it needs --memory"),
        (["--memory=2g", "--memory-swap=1g"], "--memory-swap 1g: it is memory and swap together"),
        (["-c=-1"], "--cpu-shares -1: the kernel takes from 2 to 262144"),
        (["--cpu-quota=x"], "--cpu-quota x: not an integer"),
        (["--cpu-quota=10"], "--cpu-quota 10: the kernel takes 1000 or more, and -1 for no limit"),
        (["--cpu-period=1"], "--cpu-period 1: the kernel takes from 1000 to 1000000"),
        (["--cpuset-cpus=a"], "--cpuset-cpus a: not a list of numbers"),
        (["--security-opt=foo"], "--security-opt foo: unknown option"),
        (["--security-opt=seccomp"], "--security-opt seccomp: the value is missing"),
        (["--security-opt=label=foo:x"], "--security-opt label=foo:x: a label is disable, or one of"),
        (["--security-opt=no-new-privileges=maybe"], "--security-opt no-new-privileges=maybe: it is true or false"),
        (["--device=/dev/nope"], "--device /dev/nope: /dev/nope: No such file or directory"),
        (["--device=/etc/passwd"], "--device /etc/passwd: /etc/passwd is no device"),
        (["--device=/dev/null:/dev/x:q"], "--device /dev/null:/dev/x:q: the permissions 'q' are not some of rwm"),
        (["--device=null"], "--device null: not a device"),
        (["--userns=/nope"], "--userns /nope: there is no user namespace /nope"),
        (["--userns=auto:size=5"], "--userns auto:size=5: auto has no options here"),
        (["--userns=host", "--userns-uid-map=0:1:1"], "--userns host: ids are mapped in a private namespace only"),
        (["--userns-uid-map=0:1"], "--userns-uid-map 0:1: not CONTAINER-ID:HOST-ID:SIZE"),
        (["--userns-gid-map=0:1:0"], "--userns-gid-map 0:1:0: not CONTAINER-ID:HOST-ID:SIZE"),
        (["--userns-uid-map-user=no-such-user"], "--userns-uid-map-user no-such-user: there is no range for it"),
        (["--pid=/nope"], "--pid /nope: there is no pid namespace /nope"),
        (["--cgroupns", OWN], f"--cgroupns {OWN}: it is private or host"),
        (["--network=ns:/nope"], "--network ns:/nope: there is no network namespace /nope"),
        (["--network=mynet"], "--network mynet: unknown network"),
        (["--dns=none", "--dns=192.0.2.1"], "--dns none: it cannot be used together with other servers"),
        (["--dns=none", "--dns-search=x"], "--dns-search: it cannot be used together with --dns none"),
        (["--dns=192.0.2.1", "--network=none"], "--dns: it cannot be used with --network none"),
        (["--dns=foo"], "--dns foo: not an IP address"),
        (["--group-add=keep-groups"], "--group-add keep-groups: the groups of the host's user mean nothing"),
        (["--no-hosts", "--add-host=a:192.0.2.1"], "--no-hosts: it cannot be used together with --add-host"),
    ],
)
def test_bad_values_name_the_flag(werf: Werf, words: list[str], said: str) -> None:
    for result in (werf("buildah", "build", *words), werf("run", *words, "image")):
        assert result.code == 2
        assert said in result.err


@pytest.mark.parametrize(
    ("text", "size"),
    [("5", 5), ("5b", 5), ("2k", 2048), ("2KB", 2048), ("1 MiB", 1 << 20), ("0.5g", 1 << 29), ("1T", 1 << 40)],
)
def test_sizes(text: str, size: int) -> None:
    assert memory_size("--memory", text) == size


@pytest.mark.parametrize("text", ["k", "-1", "1x", "1kk", "0x10", "1.", ".5", "1..5g"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="--memory"):
        memory_size("--memory", text)


def test_variables(werf: Werf, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WERF_MEMORY", "1g")
    monkeypatch.setenv("WERF_DNS_1", "192.0.2.1")
    monkeypatch.setenv("WERF_DNS_SEARCH", "a.b")  # of --dns-search, not one more of --dns
    monkeypatch.setenv("WERF_NO_HOSTS", "yes")
    found = asked(werf, session, "--dns", "192.0.2.2")
    assert found.resources.memory == 1 << 30
    assert (found.dns_servers, found.dns_searches) == (("192.0.2.1", "192.0.2.2"), ("a.b",))
    assert not found.hosts
