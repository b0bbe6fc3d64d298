"""A command on top of an image of the store, committed as a new one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, cast

from msgspec.structs import replace

from pywerf.backend.buildah.assemble import assemble
from pywerf.backend.buildah.engine import Engine
from pywerf.backend.buildah.ref import Ref
from pywerf.backend.buildah.volumes import Volume
from pywerf.backend.contract import Stage
from pywerf.build.container_defaults import container_defaults
from pywerf.build.names import full_name
from pywerf.build.options import ContainerOptions
from pywerf.errors import ImageNotFound, UsageError, WerfError
from pywerf.graph.image_plan import HistoryStep, ImagePlan
from pywerf.graph.op import ExecOp
from pywerf.graph.vertex import Vertex
from pywerf.oci.digest import Digest
from pywerf.oci.platform import host_platform
from pywerf.solver.scheduler import solve

if TYPE_CHECKING:
    from pywerf.backend.buildah.files import Files, Result
    from pywerf.build.bases import Found
    from pywerf.build.session import Session

__all__ = ["run_stage"]

_NETWORKS = ("", "host", "none", "private")


def run_stage(session: Session, stage: Stage) -> Digest:
    """StageRunner of the embedded engine."""
    if not stage.argv:
        raise UsageError(f"{stage.name}: there is no command to run")
    if stage.network not in _NETWORKS:
        raise UsageError(f"--network {stage.network}: unknown network", hint="host, none and private are known")
    names = [full_name(tag) for tag in stage.tags]
    with session.working():
        record = session.find_image(stage.image)
        bases = session.bases("never")
        found = bases.of_record(record, host_platform(), stage.image)
        if found is None:
            raise ImageNotFound(stage.image, hint=f"it is here, but not for {host_platform()}")
        bases.add(found)
        base = Vertex(found.op)
        step = Vertex(_command(stage, found), (base,), name=stage.name)
        engine = Engine(
            session.store,
            session.snapshots,
            session.isolation,
            session.reporter,
            open_files=lambda op: _no_files(),
            base=bases.ref,
            defaults=container_defaults(ContainerOptions(), ulimits=session.options.ulimits),
            volumes=tuple(Volume(mount.source, mount.target, mount.read_only, ("rbind",)) for mount in stage.mounts),
            created=_now,
        )
        number = session.next_step()
        try:
            with session.stopping.during(engine.cancel):
                (ref,) = solve(
                    [step],
                    lambda vertex, inputs: _execute(session, engine, vertex, inputs, number),
                    jobs=1,
                    cancel=engine.cancel,
                )
            assert isinstance(ref, Ref)
            config = stage.config or found.config.config
            plan = ImagePlan(
                step,
                replace(config, labels={**config.labels, **stage.labels}),
                found.config.platform,
                found.config,
                (HistoryStep(" ".join(stage.argv), step),),
            )
            made = assemble(
                plan, ref, {step.definition: ref}, image_format="oci", annotations={}, when=lambda draft: _now()
            )
        finally:
            engine.close()
        manifest = made.manifest
        image = session.store.images.put(manifest.to_json(), manifest.media_type, made.config_bytes, names, made.size)
    return image.id


def _command(stage: Stage, found: Found) -> ExecOp:
    config = found.config.config
    known = dict(entry.partition("=")[::2] for entry in config.env)
    return ExecOp(
        argv=stage.argv,
        env=tuple(f"{name}={value}" for name, value in {**known, **stage.env}.items()),
        cwd=stage.workdir or config.working_dir or "/",
        user=stage.user or config.user,
        network=cast("Literal['host', 'none', 'private']", stage.network or "host"),
        add_hosts=stage.add_hosts,
    )


def _execute(
    session: Session, engine: Engine, vertex: Vertex, inputs: tuple[Result | None, ...], number: int
) -> Result:
    if not vertex.name:
        return engine.execute(vertex, inputs, number)
    reporter = session.reporter
    reporter.step_started(number, vertex.name)
    try:
        result = engine.execute(vertex, inputs, number)
    except BaseException as error:
        stopped = not isinstance(error, WerfError)
        reporter.step_finished(number, "cancelled" if stopped else "failed", error="" if stopped else str(error))
        raise
    reporter.step_finished(number, "done")
    return result


def _no_files() -> Files:
    raise AssertionError("a stage has no context")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
