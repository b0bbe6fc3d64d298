"""An image in the shapes that `buildah inspect` shows: buildah's BuilderInfo with the OCI and the Docker config."""

from __future__ import annotations

from collections.abc import Sequence

from pywerf.cli.go_objects import GoObject, field, go_time
from pywerf.oci.config import ContainerConfig, History, ImageConfig
from pywerf.oci.manifest import Manifest
from pywerf.store.images import ImageRecord

__all__ = ["builder_info"]


def builder_info(
    record: ImageRecord, config: ImageConfig, manifest: Manifest, config_text: str, manifest_text: str
) -> GoObject:
    """What buildah tells of an image; what belongs to its working containers has the values of an image."""
    return GoObject(
        "buildah.BuilderInfo",
        (
            field("Type", "Type", "buildah 0.0.1"),
            field("FromImage", "FromImage", record.names[0] if record.names else record.id.hex),
            field("FromImageID", "FromImageID", record.id.hex),
            field("FromImageDigest", "FromImageDigest", str(record.manifest_digest)),
            field("Config", "Config", config_text),
            field("Manifest", "Manifest", manifest_text),
            *(
                field(name, name, "")
                for name in ("Container", "ContainerID", "MountPoint", "ProcessLabel", "MountLabel")
            ),
            field("ImageAnnotations", "ImageAnnotations", dict(manifest.annotations) or None),
            field("ImageCreatedBy", "ImageCreatedBy", ""),
            field("OCIv1", "OCIv1", oci_image(config)),
            field("Docker", "Docker", docker_image(config)),
            field("DefaultMountsFilePath", "DefaultMountsFilePath", ""),
            field("Isolation", "Isolation", "chroot"),
            field("NamespaceOptions", "NamespaceOptions", [_namespace(name) for name in _NAMESPACES]),
            field("Capabilities", "Capabilities", None),
            field("ConfigureNetwork", "ConfigureNetwork", "NetworkDefault"),
            field("CNIPluginPath", "CNIPluginPath", ""),
            field("CNIConfigDir", "CNIConfigDir", ""),
            field("IDMappingOptions", "IDMappingOptions", _id_mapping()),
            field("History", "History", _history(config.history)),
            field("Devices", "Devices", None),
        ),
    )


def oci_image(config: ImageConfig) -> GoObject:
    """The config as image-spec's v1.Image."""
    return GoObject(
        "v1.Image",
        (
            field("Created", "created", go_time(config.created), omit_empty=True),
            field("Author", "author", config.author, omit_empty=True),
            field("Architecture", "architecture", config.platform.architecture),
            field("Variant", "variant", config.platform.variant, omit_empty=True),
            field("OS", "os", config.platform.os),
            field("OSVersion", "os.version", config.os_version, omit_empty=True),
            field("OSFeatures", "os.features", list(config.os_features), omit_empty=True),
            field("Config", "config", _oci_config(config.config)),
            field("RootFS", "rootfs", _rootfs(config)),
            field("History", "history", _history(config.history), omit_empty=True),
        ),
    )


def docker_image(config: ImageConfig) -> GoObject:
    """The config as Docker's V2Image."""
    run = _docker_config(config.config)
    return GoObject(
        "docker.V2Image",
        (
            field("Created", "created", go_time(config.created), omit_empty=True),
            field("Author", "author", config.author, omit_empty=True),
            field("ContainerConfig", "container_config", run),
            field("Config", "config", run),
            field("Architecture", "architecture", config.platform.architecture),
            field("Variant", "variant", config.platform.variant, omit_empty=True),
            field("OS", "os", config.platform.os),
            field("RootFS", "rootfs", _rootfs(config)),
            field("History", "history", _history(config.history), omit_empty=True),
        ),
    )


_NAMESPACES = ("cgroup", "ipc", "mount", "network", "pid", "user", "uts")


def _namespace(name: str) -> GoObject:
    return GoObject(
        "define.NamespaceOption",
        (
            field("Name", "Name", name),
            field("Host", "Host", name in ("cgroup", "network", "user")),
            field("Path", "Path", ""),
        ),
    )


def _id_mapping() -> GoObject:
    automatic = GoObject(
        "types.AutoUserNsOptions",
        (
            field("Size", "Size", 0),
            field("InitialSize", "InitialSize", 0),
            field("PasswdFile", "PasswdFile", ""),
            field("GroupFile", "GroupFile", ""),
            field("AdditionalUIDMappings", "AdditionalUIDMappings", None),
            field("AdditionalGIDMappings", "AdditionalGIDMappings", None),
        ),
    )
    return GoObject(
        "define.IDMappingOptions",
        (
            field("HostUIDMapping", "HostUIDMapping", True),
            field("HostGIDMapping", "HostGIDMapping", True),
            field("UIDMap", "UIDMap", []),
            field("GIDMap", "GIDMap", []),
            field("AutoUserNs", "AutoUserNs", False),
            field("AutoUserNsOpts", "AutoUserNsOpts", automatic),
        ),
    )


def _set(items: Sequence[str]) -> dict[str, GoObject]:
    return {item: GoObject("struct {}", ()) for item in items}


def _oci_config(config: ContainerConfig) -> GoObject:
    return GoObject(
        "v1.ImageConfig",
        (
            field("User", "User", config.user, omit_empty=True),
            field("ExposedPorts", "ExposedPorts", _set(config.exposed_ports), omit_empty=True),
            field("Env", "Env", list(config.env), omit_empty=True),
            field("Entrypoint", "Entrypoint", list(config.entrypoint or ()), omit_empty=True),
            field("Cmd", "Cmd", list(config.cmd or ()), omit_empty=True),
            field("Volumes", "Volumes", _set(config.volumes), omit_empty=True),
            field("WorkingDir", "WorkingDir", config.working_dir, omit_empty=True),
            field("Labels", "Labels", dict(config.labels), omit_empty=True),
            field("StopSignal", "StopSignal", config.stop_signal, omit_empty=True),
        ),
    )


def _docker_config(config: ContainerConfig) -> GoObject:
    check = config.healthcheck
    health = None
    if check is not None:
        health = GoObject(
            "docker.HealthConfig",
            (
                field("Test", "Test", list(check.test), omit_empty=True),
                field("StartPeriod", "StartPeriod", check.start_period, omit_empty=True),
                field("StartInterval", "StartInterval", check.start_interval, omit_empty=True),
                field("Interval", "Interval", check.interval, omit_empty=True),
                field("Timeout", "Timeout", check.timeout, omit_empty=True),
                field("Retries", "Retries", check.retries, omit_empty=True),
            ),
        )
    flags = ("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce")
    return GoObject(
        "docker.Config",
        (
            field("Hostname", "Hostname", ""),
            field("Domainname", "Domainname", ""),
            field("User", "User", config.user),
            field("ExposedPorts", "ExposedPorts", _set(config.exposed_ports), omit_empty=True),
            *(field(name, name, False) for name in flags),
            field("Env", "Env", list(config.env)),
            field("Cmd", "Cmd", None if config.cmd is None else list(config.cmd)),
            field("Healthcheck", "Healthcheck", health, omit_empty=True),
            field("ArgsEscaped", "ArgsEscaped", config.args_escaped, omit_empty=True),
            field("Image", "Image", ""),
            field("Volumes", "Volumes", _set(config.volumes) or None),
            field("WorkingDir", "WorkingDir", config.working_dir),
            field("Entrypoint", "Entrypoint", None if config.entrypoint is None else list(config.entrypoint)),
            field("OnBuild", "OnBuild", list(config.onbuild) or None),
            field("Labels", "Labels", dict(config.labels) or None),
            field("StopSignal", "StopSignal", config.stop_signal, omit_empty=True),
            field("Shell", "Shell", list(config.shell or ()), omit_empty=True),
        ),
    )


def _rootfs(config: ImageConfig) -> GoObject:
    return GoObject(
        "v1.RootFS",
        (
            field("Type", "type", "layers"),
            field("DiffIDs", "diff_ids", [str(diff_id) for diff_id in config.diff_ids]),
        ),
    )


def _history(history: Sequence[History]) -> list[GoObject]:
    return [
        GoObject(
            "v1.History",
            (
                field("Created", "created", go_time(item.created), omit_empty=True),
                field("CreatedBy", "created_by", item.created_by, omit_empty=True),
                field("Author", "author", item.author, omit_empty=True),
                field("Comment", "comment", item.comment, omit_empty=True),
                field("EmptyLayer", "empty_layer", item.empty_layer, omit_empty=True),
            ),
        )
        for item in history
    ]
