"""Chain ids: the name of a stack of layers (OCI image-spec, config.md#layer-chainid)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pywerf.oci.digest import Digest

__all__ = ["chain_id", "chain_ids"]


def chain_id(parent: Digest | None, diff_id: Digest) -> Digest:
    """The chain id of the layer `diff_id` on top of the chain `parent` (None: on nothing)."""
    if parent is None:
        return diff_id
    return Digest("sha256", hashlib.sha256(f"{parent} {diff_id}".encode()).hexdigest())


def chain_ids(diff_ids: Sequence[Digest]) -> tuple[Digest, ...]:
    """The chain id up to each of the layers, bottom layer first."""
    out: list[Digest] = []
    for diff_id in diff_ids:
        out.append(chain_id(out[-1] if out else None, diff_id))
    return tuple(out)
