"""`werf buildah build`: the flags of `buildah build` as BuildOptions, the build, the image's id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast, get_args

from pywerf.build.options import BuildOptions, PullPolicy, RegistryOptions
from pywerf.cli.auto_cleanup import check_cleanup_flags, clean_store_after, disable_flag
from pywerf.cli.container_flags import container_flags, container_options
from pywerf.cli.declare import COUNT, SIZE, Choice, argument, declared, flag, switch
from pywerf.cli.introspection_flags import failure_introspection_flags, introspected_states
from pywerf.cli.invocation import engine_flags, progress_flags, split_name
from pywerf.cli.values import (
    bad_value,
    grant_flags,
    labels,
    network,
    network_flag,
    optional_pairs,
    outputs,
    pairs,
    platform_flags,
    platforms,
    registry_flags,
    registry_options,
    seconds,
    volume_flags,
)
from pywerf.errors import UsageError
from pywerf.oci.media_types import ImageFormat

if TYPE_CHECKING:
    from pywerf.build.session import Session
    from pywerf.cli.invocation import Invocation
    from pywerf.oci.platform import Platform

__all__ = ["build_options", "command", "pull_policy"]

_UNSUPPORTED = (
    *("--compat-volumes", "--cw", "--decryption-key", "--sign-by", "--sbom", "--sbom-scanner-image"),
    *("--sbom-scanner-command", "--sbom-merge-strategy", "--sbom-output", "--sbom-image-output"),
    *("--sbom-purl-output", "--sbom-image-purl-output"),
)

_FORMATS: dict[str, ImageFormat] = {"oci": "oci", "docker": "docker", "v2s2": "docker"}


@declared(
    "build",
    unsupported=_UNSUPPORTED,
    usage_line="[CONTEXT]",
    short_help="Build an image from a Dockerfile.",
)
@flag("--file", "-f", "files", multiple=True, metavar="FILE", help="Dockerfile, or - for stdin; several are joined.")
@flag("--tag", "-t", "tags", multiple=True, metavar="NAME", help="Name for the image.")
@flag("--build-arg", "build_args", multiple=True, metavar="NAME[=VALUE]", help="Value of an ARG.")
@flag("--build-arg-file", "build_arg_files", multiple=True, metavar="FILE", help="Values of ARGs, a line each.")
@flag("--build-context", "build_contexts", multiple=True, metavar="NAME=VALUE", help="One more named build context.")
@flag("--target", metavar="STAGE", help="Stage to build.")
@flag("--from", "base", metavar="IMAGE", help="Image for the first FROM, instead of the one that is there.")
@flag("--label", "labels_", multiple=True, metavar="KEY[=VALUE]", help="Label for the image.")
@flag("--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="Annotation for the manifest.")
@flag("--env", "env", multiple=True, own_scalar=False, metavar="NAME[=VALUE]", help="Environment of the image.")
@flag("--unsetenv", "unset_env", multiple=True, split=True, metavar="NAME", help="Environment to leave out.")
@switch("--inherit-labels", default=True, help="Take over the labels of the base image and of base stages.")
@flag("--unsetlabel", "unset_labels", multiple=True, split=True, metavar="KEY", help="Label not to take over.")
@switch("--inherit-annotations", default=True, help="Take over the annotations of the base image.")
@flag(
    "--unsetannotation",
    "unset_annotations",
    multiple=True,
    split=True,
    metavar="KEY",
    help="Annotation not to take over.",
)
@flag("--add-host", "add_hosts", multiple=True, metavar="NAME:IP", help="One more line for /etc/hosts in RUN.")
@switch("--no-cache", help="Do not use results of earlier builds.")
@flag("--no-cache-filter", multiple=True, split=True, metavar="STAGE", help="Stages to build anew.")
@flag("--cache-ttl", metavar="DURATION", help="Use results of earlier builds no older than that (1h30m); 0: none.")
@switch("--explain", help="Tell of each step whether it was cached, and if not, what had changed.")
@flag("--cache-from", multiple=True, metavar="REPO|type=TYPE,…", help="Cache to take results from.")
@flag("--cache-to", multiple=True, metavar="REPO|type=TYPE,…", help="Cache to write results to.")
@switch("--layers", default=True, env=("BUILDAH_LAYERS",), help="Use and keep results of steps (true by default).")
@switch(
    "--disable-compression",
    "-D",
    default=True,
    help="Keep new layers as they are in the store, as ever; false: compressed. Pushes compress them either way.",
)
@switch("--squash", help="Make one layer of all new ones.")
@switch("--omit-history", help="Keep nothing of how the image was made in it, nor of how its base was.")
@flag(
    "--pull",
    bare="true",
    metavar="[=POLICY]",
    help="always, missing, newer or never; --pull alone is newer. By default what is missing is pulled.",
)
@switch("--pull-always", help="The same as --pull=always.")
@switch("--pull-never", help="The same as --pull=never.")
@platform_flags
@switch("--all-platforms", help="All platforms that the base images are there for.")
@flag("--manifest", metavar="LIST", help="Manifest list that the image joins; it is made when it is missing.")
@flag("--os-version", metavar="VERSION", help="Version of the system that the image needs, instead of the base's.")
@flag(
    "--os-feature",
    "os_features",
    multiple=True,
    metavar="FEATURE[-]",
    help="Feature of the system that the image needs, beside the base's; FEATURE-: not that one.",
)
@flag("--timestamp", type=COUNT, default=None, metavar="SECONDS", help="Time of all that is made.")
@flag(
    "--source-date-epoch",
    type=COUNT,
    default=None,
    env=("SOURCE_DATE_EPOCH",),
    metavar="SECONDS",
    help="Time of the image's creation.",
)
@switch("--rewrite-timestamp", help="No file of a new layer is newer than --source-date-epoch.")
@flag("--format", "image_format", default="oci", env=("BUILDAH_FORMAT",), metavar="FORMAT", help="oci or docker.")
@flag("--output", "-o", "outputs_", multiple=True, metavar="DEST", help="type=oci|docker|tar|local|registry,dest=PATH.")
@flag("--iidfile", metavar="FILE", help="File to write the image's id to.")
@flag("--ignorefile", metavar="FILE", help="File instead of .dockerignore.")
@flag(
    "--cpp-flag",
    "cpp_flags",
    multiple=True,
    metavar="FLAG",
    help="Flag for cpp, which Dockerfiles named .in go through.",
)
@flag("--metadata-file", metavar="FILE", help="File to write the result's digests and names to, as JSON.")
@flag("--trace", metavar="FILE.json", help="File for a time line of the build (Chrome trace, for ui.perfetto.dev).")
@flag("--logfile", metavar="FILE", help="File to add all to that is told, instead of stderr.")
@switch("--logsplit", help="With --logfile: a file for each --platform, FILE_OS_ARCH.")
@switch("--check", help="Look for what could be better in the Dockerfile, and build nothing (--call=check).")
@flag(
    "--call",
    default="build",
    metavar="METHOD",
    help="build, or instead of it: check, outline, targets; with ,format=json for JSON.",
)
@switch("--quiet", "-q", help="Print the image's id only.")
@failure_introspection_flags
@flag("--jobs", type=COUNT, default=0, metavar="N", help="Steps that run at once (0: one a core, at least four).")
@network_flag
@flag(
    "--allow",
    multiple=True,
    split=True,
    metavar="ENTITLEMENT",
    help="What a Dockerfile may ask for: network.host, security.insecure, device[=NAME].",
)
@flag(
    "--isolation",
    type=Choice(["", "chroot", "oci", "rootless"]),
    metavar="TYPE",
    env=("BUILDAH_ISOLATION",),
    help="Isolation of RUN: chroot, oci or rootless.",
)
@switch(
    "--http-proxy", default=True, help="RUN sees http_proxy, https_proxy, ftp_proxy and no_proxy of the environment."
)
@grant_flags
@flag("--cap-add", multiple=True, split=True, metavar="CAP", help="Capability to add in RUN.")
@flag("--cap-drop", multiple=True, split=True, metavar="CAP", help="Capability to drop in RUN.")
@flag("--ulimit", "ulimits", multiple=True, metavar="TYPE=SOFT[:HARD]", help="Limit in RUN.")
@flag("--volume", "-v", "volumes", multiple=True, metavar="DIR:DIR[:OPTIONS]", help="Mount into RUN.")
@switch("--stdin", help="RUN reads this command's standard input; steps run one at a time.")
@flag(
    "--hooks-dir",
    "hooks_dirs",
    multiple=True,
    metavar="DIR",
    help="Folder with OCI hooks for containers (--isolation oci).",
)
@flag("--shm-size", type=SIZE, default=0, metavar="SIZE", help="Size of /dev/shm.")
@container_flags
@switch("--rm", default=True, help="No effect: there are no intermediate containers to remove.")
@switch("--force-rm", help="No effect: there are no intermediate containers to remove.")
@switch("--compress", help="No effect, as in buildah.")
@switch("--disable-content-trust", help="No effect, as in buildah.")
@flag("--layer-label", multiple=True, metavar="KEY[=VALUE]", help="No effect: there are no intermediate images.")
@switch("--skip-unused-stages", default=True, help="Always true: what the target does not need is not built.")
@switch("--identity-label", default=False, help="Always false: no label names the builder.")
@disable_flag
@volume_flags
@registry_flags
@progress_flags
@engine_flags
@argument("context", ".")
def command(run: Invocation, /, **flags: Any) -> int:
    """Build an image from the Dockerfile (or Containerfile) of CONTEXT.

    CONTEXT is a folder, - (a tar archive on stdin), the URL of a tar archive, or of a git repository
    (URL#REF:FOLDER). Without it: the current folder.
    """
    run.passes_status = True
    options = build_options(flags)
    call = "check" if flags["check"] else flags["call"]
    if call.partition(",")[0] not in ("build", "check", "lint", "outline", "targets"):
        raise bad_value("--call", call, "unknown method", hint="the methods are build, check, outline, targets")
    registry = _registry(flags, run)
    logfile, split = _logs(flags, options)
    check_cleanup_flags(flags)
    with (
        run.reporter(
            quiet=options.quiet, logfile=logfile, split=split, prompts=flags["stdin"], trace=flags["trace"]
        ) as reporter,
        run.session(
            reporter,
            registry=registry,
            isolation=flags["isolation"],
            introspect=introspected_states(flags, reporter) if call == "build" else (),
        ) as session,
    ):
        if call != "build":
            return _call(session, options, call)
        result = session.build(options)
        root = session.store.root
    clean_store_after(root, flags)
    # stdout may be the destination of the image itself: nothing else may be mixed into it.
    if result.image_id is not None and not any(output.dest == "-" for output in options.outputs):
        print(result.image_id.hex)
    return 0


def _call(session: Session, options: BuildOptions, method: str) -> int:
    from pywerf.build.checks import call
    from pywerf.build.work import given_build_args

    result = call(session, options, method, given_build_args(options))
    print(result.text, end="")
    return result.exit_code


def build_options(flags: dict[str, Any]) -> BuildOptions:
    """The BuildOptions that the flags (by parameter name) ask for. Raises UsageError."""
    if not flags["skip_unused_stages"]:
        raise UsageError("--skip-unused-stages=false is not supported", hint="build the stage with --target")
    if flags["identity_label"]:
        raise UsageError("--identity-label=true is not supported", hint="add it with --label io.buildah.version=…")
    image_format = _FORMATS.get(flags["image_format"])
    if image_format is None:
        raise bad_value(
            "--format", flags["image_format"], "unrecognized image type", hint="the formats are oci, docker"
        )
    for host in flags["add_hosts"]:
        name, colon, address = host.partition(":")
        if not (name and colon and address):
            raise bad_value("--add-host", host, "expected NAME:IP", hint="for instance --add-host db:10.0.0.5")
    return BuildOptions(
        context=flags["context"],
        files=tuple(flags["files"]),
        tags=tuple(flags["tags"]),
        build_args=(
            *_from_files(flags["build_arg_files"]),
            *optional_pairs("--build-arg", flags["build_args"]),
        ),
        build_contexts=pairs("--build-context", flags["build_contexts"], "lib=../lib"),
        target=flags["target"],
        base=flags["base"],
        labels=labels("--label", flags["labels_"]),
        annotations=pairs("--annotation", flags["annotations"], "org.opencontainers.image.title=app"),
        env=optional_pairs("--env", flags["env"]),
        unset_env=tuple(flags["unset_env"]),
        inherit_labels=flags["inherit_labels"],
        unset_labels=tuple(flags["unset_labels"]),
        inherit_annotations=flags["inherit_annotations"],
        unset_annotations=tuple(flags["unset_annotations"]),
        add_hosts=tuple(flags["add_hosts"]),
        no_cache=flags["no_cache"],
        no_cache_filter=tuple(flags["no_cache_filter"]),
        cache_ttl=seconds("--cache-ttl", flags["cache_ttl"]),
        cache_from=tuple(flags["cache_from"]),
        cache_to=tuple(flags["cache_to"]),
        layers=flags["layers"],
        compress_layers=not flags["disable_compression"],
        squash=flags["squash"],
        omit_history=flags["omit_history"],
        pull=pull_policy(flags["pull"], always=flags["pull_always"], never=flags["pull_never"]),
        platforms=platforms(flags["platform"], flags["os"], flags["arch"], flags["variant"]),
        all_platforms=flags["all_platforms"],
        manifest=flags["manifest"],
        timestamp=flags["timestamp"],
        source_date_epoch=flags["source_date_epoch"],
        rewrite_timestamp=flags["rewrite_timestamp"],
        image_format=image_format,
        outputs=outputs(flags["outputs_"]),
        iidfile=flags["iidfile"],
        ignorefile=flags["ignorefile"],
        cpp_flags=tuple(flags["cpp_flags"]),
        quiet=flags["quiet"],
        http_proxy=flags["http_proxy"],
        os_version=flags["os_version"],
        os_features=tuple(flags["os_features"]),
        explain=flags["explain"],
        metadata_file=flags["metadata_file"],
        jobs=flags["jobs"],
        network=network(flags["network"]),
        allow=_entitlements(flags["allow"]),
        secrets=tuple(flags["secrets"]),
        ssh=tuple(flags["ssh"]),
        cap_add=tuple(flags["cap_add"]),
        cap_drop=tuple(flags["cap_drop"]),
        ulimits=tuple(flags["ulimits"]),
        volumes=tuple(flags["volumes"]),
        hooks_dirs=tuple(flags["hooks_dirs"]),
        stdin=flags["stdin"],
        shm_size=flags["shm_size"],
        container=container_options(flags, flags["network"], flags["add_hosts"]),
    )


def _from_files(paths: Sequence[str]) -> tuple[tuple[str, str | None], ...]:
    """What the files of `--build-arg-file` say: a NAME=VALUE or NAME each line; # begins a comment."""
    found: list[tuple[str, str | None]] = []
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                lines = file.read().split("\n")
        except OSError as error:
            raise UsageError(f"--build-arg-file {path}: {error.strerror}") from error
        wanted = [line.rstrip("\r") for line in lines if line.strip() and not line.startswith("#")]
        found += optional_pairs(f"--build-arg-file {path}:", wanted)
    return tuple(found)


def _logs(flags: dict[str, Any], options: BuildOptions) -> tuple[str, tuple[Platform, ...] | None]:
    """The log file, and the platforms that have files of their own (those that are known). Raises UsageError."""
    logfile: str = flags["logfile"]
    if not flags["logsplit"]:
        return logfile, None
    if not logfile:
        raise UsageError("--logsplit needs --logfile", hint="--logfile build.log makes build.log_linux_arm64")
    if len(options.platforms) == 1 and not options.all_platforms:
        return split_name(logfile, options.platforms[0]), None
    return logfile, options.platforms


def _entitlements(values: Sequence[str]) -> tuple[str, ...]:
    for value in values:
        if value.partition("=")[0] not in ("network.host", "security.insecure", "device"):
            raise bad_value(
                "--allow", value, "unknown entitlement", hint="it is network.host, security.insecure or device[=NAME]"
            )
    return tuple(values)


def pull_policy(value: str, *, always: bool = False, never: bool = False) -> PullPolicy:
    """`--pull`: a policy, or buildah's true (newer) and false (missing). Raises UsageError."""
    if sum((bool(value), always, never)) > 1:
        raise UsageError("--pull, --pull-always and --pull-never cannot be used together")
    if always or never:
        return "always" if always else "never"
    word = {"": "missing", "true": "newer", "1": "newer", "false": "missing", "0": "missing"}.get(
        value.lower(), value.lower()
    )
    if word not in get_args(PullPolicy):
        raise bad_value(
            "--pull", value, "unsupported pull policy", hint=f"it is one of {', '.join(get_args(PullPolicy))}"
        )
    return cast(PullPolicy, word)


def _registry(flags: dict[str, Any], run: Invocation) -> RegistryOptions:
    return registry_options(
        *(flags["tls_verify"], flags["authfile"], flags["creds"], flags["cert_dir"], flags["retry"]),
        flags["retry_delay"],
        run.secrets,
    )
