"""Resource limits of RUN in every isolation: all types arrive, none is touched unasked, none is raised in vain."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pywerf.isolation.limits import TYPES
from pywerf.linux.rlimits import NUMBERS
from support import inside, services
from support.isolations import Isolated, run_output
from support.users import User

pytestmark = pytest.mark.integration

TITLES = {
    "core": "Max core file size",
    "cpu": "Max cpu time",
    "data": "Max data size",
    "fsize": "Max file size",
    "locks": "Max file locks",
    "memlock": "Max locked memory",
    "msgqueue": "Max msgqueue size",
    "nice": "Max nice priority",
    "nofile": "Max open files",
    "nproc": "Max processes",
    "rss": "Max resident set",
    "rtprio": "Max realtime priority",
    "rttime": "Max realtime timeout",
    "sigpending": "Max pending signals",
    "stack": "Max stack size",
}
ENOUGH = 1 << 30  # where there is no limit: what a shell does not reach


def limits(lines: list[str]) -> dict[str, tuple[str, str]]:
    """(soft, hard) by type, of /proc/self/limits; `as` is there, too."""
    found = {}
    for name, title in (*TITLES.items(), ("as", "Max address space")):
        (line,) = [line for line in lines if line.startswith(f"{title}  ")]
        soft, hard = line[len(title) :].split()[:2]
        found[name] = soft, hard
    return found


def present(isolated: Isolated) -> dict[str, tuple[str, str]]:
    return limits(isolated.command("cat", "/proc/self/limits").stdout.splitlines())


def lower(hard: str) -> tuple[int, int]:
    """A soft and a hard limit that anybody may set."""
    most = ENOUGH if hard == "unlimited" else int(hard)
    return most * 3 // 4, most * 7 // 8


def test_every_type_arrives(on_host_kernel: Isolated) -> None:
    wanted = {name: lower(hard) for name, (_, hard) in present(on_host_kernel).items() if name != "as"}
    assert set(wanted) == set(TYPES)
    flags = [f"--ulimit={name}={soft}:{hard}" for name, (soft, hard) in wanted.items()]
    found = limits(run_output(on_host_kernel.build("cat /proc/self/limits", *flags)))
    assert {name: found[name] for name in TYPES} == {name: (str(s), str(h)) for name, (s, h) in wanted.items()}


def test_every_type_arrives_on_the_fourth_rung(
    docker: services.Docker, python_layout: Path, service_folder: Path
) -> None:
    """In a container of dockerd without further rights, where nothing can be mounted."""
    shared = service_folder / "limits-in-containers"
    (shared / "context").mkdir(parents=True)
    shutil.copytree(python_layout, shared / "base")
    engine = inside.docker_engine(docker, shared)
    there = limits(engine.run("cat /proc/self/limits").stdout.splitlines())
    wanted = {name: lower(hard) for name, (_, hard) in there.items() if name != "as"}
    flags = " ".join(f"--ulimit={name}={soft}:{hard}" for name, (soft, hard) in wanted.items())
    # there is no /proc on this rung: getrlimit(2) itself is asked
    ask = "import resource; [print(number, *resource.getrlimit(number)) for number in range(16)]"
    script = f"""
        base=$(werf buildah pull -q oci:{inside.SHARED}/base:base)
        printf 'FROM %s\\nRUN python3 -c "{ask}"\\n' $base > {inside.SHARED}/context/Dockerfile
        werf buildah build --progress=plain {flags} {inside.SHARED}/context"""
    done = engine.run(script)
    assert "rung 4" in done.stderr.splitlines()[0]
    found = dict(line.split(" ", 1) for line in run_output(done))
    assert {name: found[str(NUMBERS[name])] for name in TYPES} == {name: f"{s} {h}" for name, (s, h) in wanted.items()}


def test_the_variable_has_the_same_types(on_host_kernel: Isolated) -> None:
    hard = {name: most for name, (_, most) in present(on_host_kernel).items() if name != "as"}
    wanted = {name: lower(most)[1] for name, most in hard.items()}
    value = ",".join(f"{name}:{number}" for name, number in wanted.items())
    done = on_host_kernel.build("cat /proc/self/limits", env={"WERF_BUILDAH_ULIMIT": value})
    found = limits(run_output(done))
    assert {name: found[name] for name in TYPES} == {name: (str(n), str(n)) for name, n in wanted.items()}


def test_unset_they_are_inherited(on_host_kernel: Isolated) -> None:
    assert limits(run_output(on_host_kernel.build("cat /proc/self/limits"))) == present(on_host_kernel)


def test_the_flag_beats_the_variable_and_types_are_not_repeated(isolated: Isolated) -> None:
    done = isolated.build("ulimit -n", "--buildah-ulimit=nofile:70", env={"WERF_BUILDAH_ULIMIT_1": "core:0"})
    assert run_output(done) == ["70"]
    done = isolated.build("true", "--ulimit=nofile=70", "--ulimit=nofile=80", check=False)
    assert done.returncode != 0
    assert 'ulimit item 2 "nofile=80": nofile is already given by item 1' in done.stderr


def test_a_kernel_of_its_own_has_ten_types_or_says_so(on_own_kernel: Isolated) -> None:
    """It has no /proc/self/limits: the shell shows what its commands have (test_own_kernel.py: each type)."""
    script = "ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hs"
    done = on_own_kernel.build(script, "--ulimit=nofile=60:70", "--ulimit=core=512:1024", "--ulimit=stack=1048576")
    assert run_output(done) == ["60", "70", "1", "1024"]
    done = on_own_kernel.build("true", "--ulimit=nice=0", check=False)
    assert "ulimit nice: runsc has a kernel of its own, which has no such limit" in done.stderr
    assert "--runtime crun" in done.stderr


@pytest.mark.parametrize(
    ("value", "position", "says"),
    [
        ("nofile:5,files:6", 2, 'unknown type "files"'),
        ("nofile", 1, "the limit is missing"),
        ("nofile:1:2:3", 1, "more than a soft and a hard limit"),
        ("core:0,,cpu:5", 2, "it is empty"),
        ("core:0,cpu:6:5", 2, "the soft limit is above the hard limit"),
        ("core:many", 1, '"many" is neither'),
    ],
)
def test_what_is_no_limit_is_refused_at_start(root: Isolated, value: str, position: int, says: str) -> None:
    done = root.build("true", check=False, env={"WERF_BUILDAH_ULIMIT": value})
    assert done.returncode != 0
    item = value.split(",")[position - 1]
    assert f'ulimit item {position} "{item}": {says}' in done.stderr
    assert f"types: {' '.join(TYPES)}" in done.stderr
    assert "RUN" not in done.stderr


def test_above_the_present_one_is_refused_before_the_build_starts(isolated: Isolated) -> None:
    done = isolated.build("true", "--ulimit=nofile=1:99999999999", check=False)
    assert done.returncode != 0
    assert "ulimit nofile: the hard limit 99999999999 is above " in done.stderr
    assert "RUN" not in done.stderr


def test_users_are_told_type_present_and_wanted_value(builder: User) -> None:
    builder.write("raised/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
    _, hard = limits(builder.run("cat", "/proc/self/limits").stdout.splitlines())["nofile"]
    done = builder.werf("buildah", "build", f"--ulimit=nofile={int(hard) + 1}", "raised", check=False)
    assert done.returncode != 0
    assert f"ulimit nofile: the hard limit {int(hard) + 1} is above the present one, {hard}" in done.stderr
    assert "CAP_SYS_RESOURCE" in done.stderr
