from __future__ import annotations

import pytest

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile.commands import Device, RunMount
from pywerf.frontend.dockerfile.expand import Expander
from pywerf.frontend.dockerfile.mounts import parse_device, parse_mount, sketch_mount


def exact(raw: str) -> RunMount:
    return parse_mount(raw, Expander({"T": "cache", "D": "/d"}).word)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("target=/a", {"target": "/a"}),
        ("type=bind,from=x,source=/s,dst=/a,rw", {"from_": "x", "source": "/s", "target": "/a", "readonly": False}),
        ("type=bind,src=s,destination=a,readwrite=false", {"source": "s", "target": "a"}),
        ("TYPE=Cache,target=/a", {"type": "cache", "target": "/a", "readonly": False}),
        (
            "type=cache,id=i,target=/a,sharing=LOCKED,mode=0755,uid=1,gid=2,ro",
            {"type": "cache", "id": "i", "target": "/a", "sharing": "locked", "mode": 0o755, "uid": 1, "gid": 2},
        ),
        ("type=tmpfs,target=/a,size=64m", {"type": "tmpfs", "target": "/a", "readonly": False, "size": 64 << 20}),
        ("type=secret,id=s,required,env=E", {"type": "secret", "id": "s", "required": True, "env": "E"}),
        ("type=ssh,required=true,mode=600", {"type": "ssh", "required": True, "mode": 0o600}),
        ('type=bind,"target=/a,b"', {"target": "/a,b"}),
        ("type=$T,target=${D}/x", {"type": "cache", "target": "/d/x", "readonly": False}),
        ("type=bind,target=/a,z,bind-propagation=rshared,relabel=shared", {"target": "/a"}),
    ],
)
def test_options(raw: str, expected: dict) -> None:
    assert exact(raw) == RunMount(**{"type": "bind", "raw": raw, **expected})


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("type=foo", 'unsupported mount type "foo"'),
        ("type=cahe", 'unsupported mount type "cahe" (did you mean cache?)'),
        ("tpye=bind", "unexpected key 'tpye' in 'tpye=bind' (did you mean type?)"),
        ("target", "invalid field 'target' must be a key=value pair"),
        ("ro=x", "invalid value for ro: x"),
        ("required", "unexpected key 'required' for mount type 'bind'"),
        ("size=1,type=tmpfs", "unexpected key 'size' for mount type 'bind'"),
        ("type=tmpfs,size=x", "invalid value for size: x"),
        ("type=cache,sharing=lock", 'unsupported sharing value "lock"'),
        ("type=cache,mode=888", "invalid value 888 for mode"),
        ("type=cache,uid=-1", "invalid value -1 for uid"),
        ("type=bind,uid=1", 'uid not allowed for "bind" type mounts'),
        ("type=tmpfs,mode=1", 'mode not allowed for "tmpfs" type mounts'),
        ("type=bind,sharing=shared", "invalid cache sharing set for bind mount"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,src=b", "both source and id can't be set"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("type=secret,id=a,sharing=shared", "secret mount should not define sharing"),
        ("bind-propagation=x", 'invalid mount option "x"'),
        ("", "failed to parse csv mounts"),
        ('a"b', "failed to parse csv mounts"),
    ],
)
def test_refused(raw: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        exact(raw)
    assert message in caught.value.message


def test_a_sketch_knows_what_has_no_variables() -> None:
    mount = sketch_mount("type=cache,id=$I,target=/a,from=base")
    assert (mount.type, mount.id, mount.target, mount.from_) == ("cache", "", "/a", "base")
    assert sketch_mount("type=foo,from=x") == RunMount(from_="x", raw="type=foo,from=x")
    with pytest.raises(DockerfileError, match="doesn't support variable expansion"):
        sketch_mount("from=$x")


@pytest.mark.parametrize(
    ("raw", "device"),
    [
        ("vendor.com/class=a", Device("vendor.com/class=a")),
        ("name=a,required", Device("a", True)),
        ("a,required=false", Device("a")),
    ],
)
def test_devices(raw: str, device: Device) -> None:
    assert parse_device(raw) == device


@pytest.mark.parametrize("raw", ["a,name=b", "a,b", "a,requierd=true", "a,required=x", ""])
def test_refused_devices(raw: str) -> None:
    with pytest.raises(DockerfileError):
        parse_device(raw)
