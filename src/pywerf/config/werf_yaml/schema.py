"""Every key of werf.yaml, by its place."""

from __future__ import annotations

from pywerf.config.werf_yaml.documents import ANY, Schema

__all__ = ["ANSIBLE", "DOCKERFILE", "META", "STAPEL"]

_LIMIT: Schema = {"last": ANY, "in": ANY, "operator": ANY}

META: Schema = {
    "configVersion": ANY,
    "project": ANY,
    "build": {
        "cacheVersion": ANY,
        "platform": ANY,
        "staged": ANY,
        "imageSpec": {
            "author": ANY,
            "clearHistory": ANY,
            "config": {"labels": ANY, "removeLabels": ANY, "keepEssentialWerfLabels": ANY, "clearWerfLabels": ANY},
        },
    },
    "deploy": {
        "helmChartDir": ANY,
        "helmChartConfig": {"appVersion": ANY},
        "helmRelease": ANY,
        "helmReleaseSlug": ANY,
        "namespace": ANY,
        "namespaceSlug": ANY,
    },
    "cleanup": {
        "disable": ANY,
        "disableKubernetesBasedPolicy": ANY,
        "disableGitHistoryBasedPolicy": ANY,
        "disableBuiltWithinLastNHoursPolicy": ANY,
        "keepImagesBuiltWithinLastNHours": ANY,
        "keepPolicies": [
            {"references": {"branch": ANY, "tag": ANY, "limit": _LIMIT}, "imagesPerReference": _LIMIT},
        ],
    },
    "gitWorktree": {"forceShallowClone": ANY, "allowUnshallow": ANY, "allowFetchOriginBranchesAndTags": ANY},
}

_IMAGE_SPEC: Schema = {
    "author": ANY,
    "clearHistory": ANY,
    "config": {
        "cmd": ANY,
        "entrypoint": ANY,
        "env": ANY,
        "expose": ANY,
        "volumes": ANY,
        "healthcheck": {"test": ANY, "interval": ANY, "timeout": ANY, "startPeriod": ANY, "retries": ANY},
        "labels": ANY,
        "stopSignal": ANY,
        "user": ANY,
        "workingDir": ANY,
        "removeEnv": ANY,
        "removeLabels": ANY,
        "removeVolumes": ANY,
        "clearCmd": ANY,
        "clearEntrypoint": ANY,
        "clearUser": ANY,
        "clearWorkingDir": ANY,
        "keepEssentialWerfLabels": ANY,
        "clearWerfLabels": ANY,
    },
}

_COMMON: Schema = {
    "image": ANY,
    "final": ANY,
    "platform": ANY,
    "cacheVersion": ANY,
    "network": ANY,
    "secrets": [{"id": ANY, "env": ANY, "src": ANY, "value": ANY}],
    "dependencies": [
        {
            "image": ANY,
            "before": ANY,
            "after": ANY,
            "imports": [{"type": ANY, "targetBuildArg": ANY, "targetEnv": ANY}],
        }
    ],
    "imageSpec": _IMAGE_SPEC,
}

DOCKERFILE: Schema = {
    **_COMMON,
    "dockerfile": ANY,
    "context": ANY,
    "contextAddFile": ANY,
    "contextAddFiles": ANY,
    "target": ANY,
    "args": ANY,
    "addHost": ANY,
    "ssh": ANY,
    "staged": ANY,
}

_USER_STAGES = ("beforeInstall", "install", "beforeSetup", "setup")
_SHELL: Schema = {
    **dict.fromkeys((*_USER_STAGES, "cacheVersion"), ANY),
    **{f"{name}CacheVersion": ANY for name in _USER_STAGES},
}

ANSIBLE: Schema = _SHELL

_DOCKER = (
    "VOLUME", "EXPOSE", "ENV", "LABEL", "CMD", "ENTRYPOINT", "WORKDIR", "USER", "HEALTHCHECK", "exactValues",
)  # fmt: skip

STAPEL: Schema = {
    **_COMMON,
    "artifact": ANY,
    "from": ANY,
    "fromImage": ANY,
    "fromArtifact": ANY,
    "fromLatest": ANY,
    "fromCacheVersion": ANY,
    "disableGitAfterPatch": ANY,
    "git": [
        {
            "add": ANY,
            "to": ANY,
            "owner": ANY,
            "group": ANY,
            "includePaths": ANY,
            "excludePaths": ANY,
            "stageDependencies": {"install": ANY, "beforeSetup": ANY, "setup": ANY},
            "url": ANY,
            "branch": ANY,
            "tag": ANY,
            "commit": ANY,
            "basicAuth": {"username": ANY, "password": {"env": ANY, "src": ANY, "file": ANY, "value": ANY}},
        }
    ],
    "shell": _SHELL,
    "ansible": ANSIBLE,
    "mount": [{"to": ANY, "from": ANY, "fromPath": ANY}],
    "import": [
        {
            "from": ANY,
            "image": ANY,
            "artifact": ANY,
            "stage": ANY,
            "before": ANY,
            "after": ANY,
            "add": ANY,
            "to": ANY,
            "owner": ANY,
            "group": ANY,
            "includePaths": ANY,
            "excludePaths": ANY,
        }
    ],
    "docker": dict.fromkeys(_DOCKER, ANY),
}
