"""Addresses of `werf stages copy`."""

from __future__ import annotations

import pytest

from pywerf.build.stages.address import Address, check_addresses, parse_address
from pywerf.errors import UsageError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("registry.example.com/shop", Address("registry.example.com/shop")),
        ("docker://registry.example.com/shop", Address("registry.example.com/shop")),
        ("registry.example.com/shop/", Address("registry.example.com/shop")),
        ("archive:stages.tar", Address(archive="stages.tar")),
        ("archive:/a:b/stages.tar.gz", Address(archive="/a:b/stages.tar.gz")),
        ("archives/shop", Address("archives/shop")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text, "--from") == address


@pytest.mark.parametrize(
    ("text", "why"), [("", "--to is needed"), ("archive:", "no file is named"), (":local", "in no repository")]
)
def test_what_is_none(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_address(text, "--to")


def test_copies_that_go_nowhere(tmp_path: pytest.TempPathFactory) -> None:
    shop, other = Address("r/shop"), Address("r/other")
    one, two = Address(archive="one"), Address(archive="./two")
    for origin, target in ((shop, other), (shop, one), (one, shop)):
        check_addresses(origin, target)
    with pytest.raises(UsageError, match="the same: r/shop"):
        check_addresses(shop, parse_address("docker://r/shop", "--to"))
    with pytest.raises(UsageError, match="one of them has to be a repository"):
        check_addresses(one, two)
