"""The generated files about the network."""

from __future__ import annotations

import os

import pytest

from pywerf.errors import InvalidValue, IsolationError
from pywerf.isolation.network import DEFAULT_HOSTS, container_files, host_address, hosts, resolv_conf

HOST = b"# made by hand\nsearch corp.example\nnameserver 127.0.0.1\nnameserver 10.0.0.2\noptions ndots:2\n"
STUB = b"nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch lan\n"
UPSTREAM = b"nameserver 192.168.1.1\nsearch lan\n"


def test_host_network_takes_the_file_as_it_is() -> None:
    assert resolv_conf(HOST) == HOST
    assert resolv_conf(STUB, UPSTREAM) == STUB
    assert resolv_conf(b"") == b""


def test_elsewhere_loopback_servers_are_left_out() -> None:
    assert resolv_conf(HOST, network="private") == b"search corp.example\nnameserver 10.0.0.2\noptions ndots:2\n"


def test_elsewhere_the_stub_is_replaced_by_what_is_behind_it() -> None:
    assert resolv_conf(STUB, UPSTREAM, network="none") == b"search lan\nnameserver 192.168.1.1\n"
    assert resolv_conf(HOST, UPSTREAM, network="none").count(b"192.168.1.1") == 0


def test_elsewhere_no_server_is_left_means_the_public_ones() -> None:
    assert resolv_conf(b"nameserver ::1\n", network="none") == b"nameserver 8.8.8.8\nnameserver 8.8.4.4\n"


def test_flags_replace_their_part_only() -> None:
    changed = resolv_conf(HOST, servers=["1.1.1.1"], options=["rotate"])
    assert changed == b"search corp.example\nnameserver 1.1.1.1\noptions rotate\n"
    assert b"search" not in resolv_conf(HOST, searches=["."])
    assert b"nameserver 127.0.0.1\n" in resolv_conf(HOST, searches=["a.example"])


@pytest.mark.parametrize(
    ("entry", "names", "address"),
    [
        ("db:10.0.0.5", ("db",), "10.0.0.5"),
        ("db=10.0.0.5", ("db",), "10.0.0.5"),
        ("db:::1", ("db",), "::1"),
        ("db=fe80::1", ("db",), "fe80::1"),
        ("db:[::1]", ("db",), "::1"),
        ("a;b:10.0.0.5", ("a", "b"), "10.0.0.5"),
        ("me:host-gateway", ("me",), "127.0.0.1"),
    ],
)
def test_add_host(entry: str, names: tuple[str, ...], address: str) -> None:
    assert host_address(entry) == (names, address)


@pytest.mark.parametrize(
    "entry", ["", "db", "db:", ":10.0.0.5", "a b:10.0.0.5", "db:10.0.0", "db:10.0.0.5\nx", "db:fe80"]
)
def test_bad_add_host_is_refused(entry: str) -> None:
    with pytest.raises(InvalidValue, match="add-host"):
        host_address(entry)


def test_host_gateway_is_unknown_elsewhere() -> None:
    with pytest.raises(IsolationError, match="host-gateway"):
        host_address("me:host-gateway", "none")


def test_hosts_of_the_host_network() -> None:
    host = b"127.0.0.1 localhost\n10.1.1.1 box"
    assert hosts(host, add_hosts=["db:10.0.0.5"]) == b"10.0.0.5\tdb\n" + host + b"\n"
    assert hosts(host, hostname="box") == host + b"\n"
    assert hosts(host, hostname="other") == host + b"\n127.0.0.1\tother\n"


def test_hosts_elsewhere_know_nothing_of_the_host() -> None:
    assert hosts(b"10.1.1.1 box\n", network="none", hostname="c") == DEFAULT_HOSTS + b"127.0.0.1\tc\n"


def test_the_three_files() -> None:
    files = {target: (content, mode) for target, content, mode in container_files(hostname="c1")}
    assert sorted(files) == ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"]
    assert files["/etc/hostname"] == (b"c1\n", 0o644)
    assert b"c1" in files["/etc/hosts"][0]
    default = {target: content for target, content, _ in container_files()}
    assert default["/etc/hostname"] == os.uname().nodename.encode() + b"\n"
