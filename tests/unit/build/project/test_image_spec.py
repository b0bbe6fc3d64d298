"""imageSpec on a config: removals, then additions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pywerf.build.project.image_spec import apply_image_spec
from pywerf.config.werf_yaml.model import Healthcheck, ImageSpec

CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "author": "old",
    "config": {
        "Env": ["PATH=/bin", "A=1", "B_X=2", "WERF_COMMIT_HASH=abc"],
        "Labels": {"werf": "shop", "a": "1", "b.c": "2"},
        "Cmd": ["run"],
        "Entrypoint": ["/e"],
        "User": "root",
        "WorkingDir": "/w",
        "Volumes": {"/old": {}, "/keep": {}},
        "ExposedPorts": {"1/tcp": {}},
        "Shell": ["sh"],
    },
    "history": [{"created_by": "x"}],
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "a" * 64]},
}


def applied(spec: ImageSpec) -> tuple[dict[str, Any], list[str]]:
    warnings: list[str] = []
    data = json.dumps(CONFIG).encode()
    out = apply_image_spec(data, spec, image="web", project="shop", warn=warnings.append)
    assert out == apply_image_spec(data, spec, image="web", project="shop", warn=lambda text: None)
    return json.loads(out), warnings


@pytest.mark.parametrize(
    ("spec", "changed"),
    [
        (ImageSpec(), {}),
        (ImageSpec(cmd=("new",)), {"Cmd": ["new"]}),
        (ImageSpec(entrypoint=("/new",)), {"Entrypoint": ["/new"], "Cmd": None}),
        (ImageSpec(entrypoint=("/new",), cmd=("x",)), {"Entrypoint": ["/new"], "Cmd": ["x"]}),
        (ImageSpec(clear_cmd=True, clear_entrypoint=True), {"Entrypoint": None, "Cmd": None}),
        (ImageSpec(user="app", working_dir="/app"), {"User": "app", "WorkingDir": "/app"}),
        (ImageSpec(stop_signal="SIGTERM"), {"StopSignal": "SIGTERM"}),
        (ImageSpec(clear_user=True, clear_working_dir=True), {"User": None, "WorkingDir": None}),
        (ImageSpec(env=(("A", "$A-${B_X}-$NO"),)), {"Env": ["PATH=/bin", "A=1-2-", "B_X=2"]}),
        (ImageSpec(remove_env=("A", "/B_.*/"), env=(("N", "$A"),)), {"Env": ["PATH=/bin", "N=1"]}),
        (ImageSpec(expose=("80", "53/udp")), {"ExposedPorts": {"53/udp": {}, "80/tcp": {}}}),
        (ImageSpec(expose=()), {"ExposedPorts": None}),
        (ImageSpec(volumes=("/new",), remove_volumes=("/old",)), {"Volumes": {"/keep": {}, "/new": {}}}),
        (ImageSpec(remove_labels=("a",)), {"Labels": {"b.c": "2", "werf": "shop"}}),
        (
            ImageSpec(labels=(("%project%/%image%", "%image%"),), remove_labels=("a", "b.c")),
            {"Labels": {"shop/web": "web", "werf": "shop"}},
        ),
        (
            ImageSpec(healthcheck=Healthcheck(("CMD", "x"), 30, None, 5, 2)),
            {"Healthcheck": {"Test": ["CMD", "x"], "Interval": 30 * 10**9, "StartPeriod": 5 * 10**9, "Retries": 2}},
        ),
    ],
)  # fmt: skip
def test_what_is_said_is_changed_and_nothing_else(spec: ImageSpec, changed: dict[str, Any]) -> None:
    found, warnings = applied(spec)
    expected = {**CONFIG["config"], "Env": ["PATH=/bin", "A=1", "B_X=2"], **changed}  # type: ignore[dict-item]
    assert found["config"] == {key: value for key, value in expected.items() if value is not None}
    assert warnings == []
    assert {**found, "config": 0} == {**CONFIG, "config": 0}


def test_author_and_history() -> None:
    found, _ = applied(ImageSpec(author="new", clear_history=True))
    assert (found["author"], found["history"]) == ("new", [])


def test_essential_labels_stay_with_a_warning() -> None:
    found, warnings = applied(ImageSpec(remove_labels=("/.*/",)))
    assert found["config"]["Labels"] == {"werf": "shop"}
    assert len(warnings) == 1
    assert "werf stay" in warnings[0]
    assert applied(ImageSpec(remove_labels=("/.*/",), keep_essential_werf_labels=True))[1] == []
