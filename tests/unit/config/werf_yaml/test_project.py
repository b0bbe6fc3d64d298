"""werf.yaml as a whole: kinds of documents, directives, checks across documents."""

from __future__ import annotations

import pytest

from pywerf.config.werf_yaml.model import (
    BasicAuth,
    CleanupConfig,
    Dependency,
    DependencyImport,
    DockerDirectives,
    DockerfileImage,
    GitMapping,
    Healthcheck,
    ImageImport,
    ImageSpec,
    KeepLimit,
    KeepPolicy,
    Mount,
    ProjectConfig,
    Secret,
    Shell,
    ShellStage,
    StapelImage,
)
from pywerf.config.werf_yaml.project import build_sets, needs_of, parse_config, sets_of, with_needed
from pywerf.errors import ConfigError

META = "project: shop\nconfigVersion: 1\n"


def config(text: str, meta: str = META) -> ProjectConfig:
    return parse_config(f"{meta}---\n{text}")


def refused(text: str, meta: str = META) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        config(text, meta)
    return caught.value


def dockerfile_image(text: str, meta: str = META) -> DockerfileImage:
    (image,) = config(text, meta).images
    assert isinstance(image, DockerfileImage)
    return image


def stapel_image(text: str) -> StapelImage:
    (image,) = config(text).images
    assert isinstance(image, StapelImage)
    return image


# The meta section


def test_the_least_that_is_a_project() -> None:
    found = config("image: ~\ndockerfile: Dockerfile\n")
    assert found.meta.project == "shop"
    assert found.images == (DockerfileImage(name="", line=4, dockerfile="Dockerfile"),)


def test_without_a_meta_section_one_is_proposed() -> None:
    with pytest.raises(ConfigError, match="has no meta section") as caught:
        parse_config("image: a\ndockerfile: D\n", proposed_name=lambda: "web-shop")
    assert "project: web-shop\nconfigVersion: 1" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("meta", "why"),
    [
        ("configVersion: 1", "project is required"),
        ("project: Shop\nconfigVersion: 1", "made of lower-case letters"),
        ("project: shop-\nconfigVersion: 1", "made of lower-case letters"),
        (f"project: {'a' * 51}\nconfigVersion: 1", "at most 50 characters, this one 51"),
        ("project: shop\nconfigVersion: 2", "2 is not a version that is known"),
        ("project: shop\nconfigVersion: 1\n---\nproject: b\nconfigVersion: 1", "there is a meta section already"),
        (META + "build: {platform: 'linux/amd64,linux/arm64'}", "one item is one platform"),
        (META + "build: {platform: nonsense/x/y/z}", "nonsense/x/y/z"),
        (META + "biuld: {}", r"unknown key biuld \(did you mean build\?\)"),
        (META + "deploy: {helmRelease: ''}", "deploy.helmRelease: must not be empty"),
        (META + "cleanup: {keepPolicies: [{}]}", r"keepPolicies\[0\].references: is required"),
        (META + "cleanup: {keepPolicies: [{references: {}}]}", "exactly one of branch or tag is needed"),
        (META + "cleanup: {keepPolicies: [{references: {tag: '/(/'}}]}", "is not a regular expression"),
        (META + "cleanup: {keepPolicies: [{references: {tag: a, limit: {in: 5d}}}]}", "missing unit|invalid duration"),
        (META + "cleanup: {keepPolicies: [{references: {tag: a, limit: {operator: Xor}}}]}", "neither And nor Or"),
    ],
)
def test_what_is_wrong_in_the_meta_section(meta: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse_config(meta)


def test_everything_of_the_meta_section() -> None:
    meta = parse_config(
        META + "build:\n  cacheVersion: v1\n  platform: [linux/amd64, linux/arm64/v8, linux/arm64]\n  staged: true\n"
        "  imageSpec:\n    author: me\n    config: {labels: {a: b}, removeLabels: [x, /y.*/], clearWerfLabels: true}\n"
        "deploy:\n  helmChartDir: charts\n  namespaceSlug: false\n  helmChartConfig: {appVersion: 1.0}\n"
        "cleanup:\n  disable: true\n  keepImagesBuiltWithinLastNHours: 5\n  keepPolicies:\n"
        "  - references: {branch: /^main$/, limit: {last: 3, in: 2h, operator: Or}}\n"
        "    imagesPerReference: {last: 2}\n"
        "gitWorktree: {allowUnshallow: false}\n"
    ).meta
    assert (meta.cache_version, meta.staged, meta.platforms) == ("v1", True, ("linux/amd64", "linux/arm64"))
    assert meta.image_spec == ImageSpec(author="me", labels=(("a", "b"),), remove_labels=("x", "/y.*/"))
    assert (meta.deploy.helm_chart_dir, meta.deploy.namespace_slug, meta.deploy.app_version) == ("charts", False, "1.0")
    policy = KeepPolicy(branch="/^main$/", limit=KeepLimit(3, 7200.0, "Or"), images=KeepLimit(2))
    assert meta.cleanup == CleanupConfig(disable=True, keep_images_built_within_last_n_hours=5, keep_policies=(policy,))
    assert not meta.git_worktree.allow_unshallow
    assert meta.git_worktree.allow_fetch_origin_branches_and_tags


# Images with a Dockerfile


def test_everything_of_an_image_with_a_dockerfile() -> None:
    image = dockerfile_image(
        "image: app\nfinal: false\ndockerfile: ./build/../Dockerfile\ncontext: web/\ncontextAddFiles: [a, ./b]\n"
        "target: prod\nargs: {A: 1, B: true, C: x y}\naddHost: 'db:1.2.3.4'\nnetwork: host\nssh: default\n"
        "secrets:\n- env: TOKEN\n- {src: ~/.npmrc}\n- {id: raw, value: text}\n"
        "staged: true\nplatform: linux/amd64\ncacheVersion: 7\n"
    )
    assert (image.dockerfile, image.context, image.context_add_files) == ("Dockerfile", "web", ("a", "b"))
    assert image.args == (("A", "1"), ("B", "true"), ("C", "x y"))
    assert (image.add_host, image.network, image.ssh) == (("db:1.2.3.4",), "host", "default")
    assert image.secrets == (
        Secret("TOKEN", env="TOKEN"),
        Secret(".npmrc", src="~/.npmrc"),
        Secret("raw", value="text"),
    )
    assert (image.target, image.staged, image.platforms, image.final) == ("prod", True, ("linux/amd64",), False)
    assert image.cache_version == "7"


def test_a_secret_does_not_show_its_value() -> None:
    assert "text" not in repr(Secret("raw", value="text"))
    assert "text" not in repr(BasicAuth("me", value="text"))


def test_values_of_build_hold_for_images_without_their_own() -> None:
    meta = META + "build: {platform: linux/arm64, cacheVersion: a, staged: true}\n"
    image = dockerfile_image("image: x\ndockerfile: D\n", meta)
    assert (image.platforms, image.cache_version, image.staged) == (("linux/arm64",), "a", True)
    own = dockerfile_image("image: x\ndockerfile: D\nplatform: linux/amd64\ncacheVersion: b\nstaged: false\n", meta)
    assert (own.platforms, own.cache_version, own.staged) == (("linux/amd64",), "b", False)


def test_several_names_are_several_images() -> None:
    found = config("image: [web, worker]\ndockerfile: D\n")
    assert [image.name for image in found.images] == ["web", "worker"]
    assert found.image("worker") is not None
    assert found.image("nobody") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("image: a\ndockerfile: /D", "image a.dockerfile: /D: a relative path is needed"),
        ("image: a\ndockerfile: ../D", "../D lies outside of the context"),
        ("image: a\ndockerfile: ''", "image a.dockerfile must not be empty"),
        ("image: a\ndockerfile: D\ncontext: /x", "a relative path is needed"),
        ("image: a\ndockerfile: D\ncontextAddFile: x\ncontextAddFiles: y", "is the old name of contextAddFiles"),
        ("image: a\ndockerfile: D\naddHost: db", "db is not HOST:IP"),
        ("image: a\ndockerfile: D\nargs: [A]", "image a.args: a map is expected, not a list"),
        ("image: a\ndockerfile: D\nargs: {A: [1]}", "image a.args.A: a string is expected, not a list"),
        ("image: []\ndockerfile: D", "a name is needed"),
        ("image: [a, a]\ndockerfile: D", "a is there twice"),
        ("image: ''\ndockerfile: D", "a name must not be empty"),
        ("image: a\ndockerfile: D\nsecrets: [{value: x}]", "secrets[0].id is required"),
        ("image: a\ndockerfile: D\nsecrets: [{env: A, src: b}]", "exactly one of env, src or value is needed, not env"),
        ("image: a\ndockerfile: D\nsecrets: [{env: A}, {src: x/A}]", "the secret A is there twice"),
        ("image: a\ndockerfile: D\nfrom: x", "unknown key image a.from"),
        ("image: a\ndockerfile: D\ntarget: [x]", "image a.target: a string is expected, not a list"),
        ("image: a\ndokerfile: D", "unknown key dokerfile (did you mean dockerfile?)"),
        ("name: a", "neither a meta section (configVersion) nor an image (image)"),
    ],
)
def test_what_is_wrong_in_an_image_with_a_dockerfile(text: str, why: str) -> None:
    error = refused(text)
    assert why in error.message
    assert error.source is not None
    assert error.source.first >= 4


# dependencies


def test_dependencies_go_into_build_args() -> None:
    found = config(
        "image: base\ndockerfile: D\n---\nimage: app\ndockerfile: D\ndependencies:\n- image: base\n  imports:\n"
        "  - {type: ImageName, targetBuildArg: BASE}\n  - {type: ImageDigest, targetBuildArg: DIGEST}\n"
    )
    imports = (
        DependencyImport("ImageName", target_build_arg="BASE"),
        DependencyImport("ImageDigest", target_build_arg="DIGEST"),
    )
    assert found.images[1].dependencies == (Dependency("base", imports),)


@pytest.mark.parametrize(
    ("dependency", "why"),
    [
        ("{image: bas}", "there is no image bas"),
        ("{image: base, before: install}", "an image with a Dockerfile has no such stages"),
        ("{image: base, imports: [{type: Nope, targetBuildArg: A}]}", "Nope is none of ImageName, ImageTag"),
        ("{image: base, imports: [{type: ImageID, targetEnv: A}]}", "an image with a Dockerfile takes targetBuildArg"),
        ("{image: base, imports: [{type: ImageID, targetBuildArg: ARG}]}", "the build arg ARG is in args, too"),
        (
            "{image: base, imports: [{type: ImageID, targetBuildArg: A}, {type: ImageTag, targetBuildArg: A}]}",
            "the build arg A is there twice",
        ),
    ],
)
def test_what_is_wrong_in_dependencies(dependency: str, why: str) -> None:
    text = (
        f"image: base\ndockerfile: D\n---\nimage: app\ndockerfile: D\nargs: {{ARG: 1}}\ndependencies: [{dependency}]\n"
    )
    assert why in refused(text).message


# imageSpec


def test_everything_of_image_spec() -> None:
    image = dockerfile_image(
        "image: a\ndockerfile: D\nimageSpec:\n  author: me\n  clearHistory: true\n  config:\n    cmd: [a, b]\n"
        "    entrypoint: x\n    env: {A: '1'}\n    expose: ['80/tcp']\n    volumes: [/data]\n"
        "    healthcheck: {test: [CMD, x], interval: 30s, timeout: 5, startPeriod: 1m, retries: 3}\n"
        "    labels: {'%image%': x}\n    stopSignal: SIGTERM\n    user: app\n    workingDir: /app\n"
        "    removeEnv: [A, /B.*/]\n    removeLabels: [c]\n    removeVolumes: [/x]\n    clearCmd: true\n"
        "    clearEntrypoint: true\n    clearUser: true\n    clearWorkingDir: true\n    keepEssentialWerfLabels: true\n"
    )
    assert image.image_spec == ImageSpec(
        author="me",
        clear_history=True,
        cmd=("a", "b"),
        entrypoint=("x",),
        env=(("A", "1"),),
        expose=("80/tcp",),
        volumes=("/data",),
        healthcheck=Healthcheck(("CMD", "x"), 30, 5, 60, 3),
        labels=(("%image%", "x"),),
        stop_signal="SIGTERM",
        user="app",
        working_dir="/app",
        remove_env=("A", "/B.*/"),
        remove_labels=("c",),
        remove_volumes=("/x",),
        clear_cmd=True,
        clear_entrypoint=True,
        clear_user=True,
        clear_working_dir=True,
        keep_essential_werf_labels=True,
    )


def test_the_global_image_spec_lies_under_that_of_a_final_image() -> None:
    meta = META + ("build:\n  imageSpec: {author: all, config: {labels: {a: all, b: all}, removeLabels: [x]}}\n")
    found = config(
        "image: plain\ndockerfile: D\n---\nimage: own\ndockerfile: D\nimageSpec: {author: mine, config: {labels: "
        "{b: mine}, removeLabels: [y, x]}}\n---\nimage: helper\ndockerfile: D\nfinal: false\n",
        meta,
    )
    assert found.images[0].image_spec == found.meta.image_spec
    assert found.images[1].image_spec == ImageSpec(
        author="mine", labels=(("a", "all"), ("b", "mine")), remove_labels=("x", "y")
    )
    assert found.images[2].image_spec is None


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("{config: {healthcheck: {interval: 3}}}", "healthcheck.test: is required"),
        ("{config: {healthcheck: {test: a, interval: 1.5s}}}", "1.5s is not a whole number of seconds"),
        ("{config: {removeEnv: ['/(/']}}", "/(/ is not a regular expression"),
        ("{config: {lables: {}}}", "unknown key image a.imageSpec.config.lables (did you mean labels?)"),
    ],
)
def test_what_is_wrong_in_image_spec(spec: str, why: str) -> None:
    assert why in refused(f"image: a\ndockerfile: D\nimageSpec: {spec}").message


# Stapel images


def test_everything_of_a_stapel_image() -> None:
    image = stapel_image(
        "image: app\nfrom: debian:12\nfromLatest: true\nfromCacheVersion: 3\ndisableGitAfterPatch: true\n"
        "git:\n- add: /src/\n  to: /app\n  owner: app\n  group: '100'\n  includePaths: [a/**]\n  excludePaths: b\n"
        "  stageDependencies: {setup: [x], install: y}\n"
        "- {url: 'https://h/r', branch: main, to: /r, basicAuth: {username: u, password: {file: p}}}\n"
        "shell:\n  cacheVersion: c\n  install: [make, make install]\n  installCacheVersion: i\n"
        "mount:\n- {from: tmp_dir, to: /tmp}\n- {from: build_dir, to: /cache}\n- {fromPath: ~/x, to: /x}\n"
        "import:\n- {from: 'alpine:3', add: /bin/a, after: setup}\n"
        "docker: {VOLUME: /v, EXPOSE: ['80'], ENV: {A: b}, LABEL: {l: m}, CMD: [a], ENTRYPOINT: x y, USER: u,"
        " WORKDIR: /w, HEALTHCHECK: NONE, exactValues: true}\n"
    )
    assert (image.base, image.base_is_image, image.from_latest, image.from_cache_version) == (
        "debian:12", False, True, "3",
    )  # fmt: skip
    assert image.git[0] == GitMapping(
        to="/app",
        add="/src",
        owner="app",
        group="100",
        include_paths=("a/**",),
        exclude_paths=("b",),
        stage_dependencies=(("install", ("y",)), ("setup", ("x",))),
        line=10,
    )
    assert image.git[1].basic_auth == BasicAuth("u", src="p")
    assert image.shell == Shell(install=ShellStage(("make", "make install"), "i"), cache_version="c")
    assert image.mounts == (
        Mount("/tmp", "tmp_dir"),
        Mount("/cache", "build_dir"),
        Mount("/x", "from_path", "~/x"),
    )
    assert image.imports == (
        ImageImport("alpine:3", "/bin/a", "/bin/a", external=True, after="setup", line=image.imports[0].line),
    )
    assert image.docker == DockerDirectives(
        volume=("/v",), expose=("80",), env=(("A", "b"),), label=(("l", "m"),), cmd=("a",), entrypoint="x y",
        workdir="/w", user="u", healthcheck="NONE", exact_values=True,
    )  # fmt: skip


def test_an_artifact_is_no_final_image() -> None:
    image = stapel_image("artifact: build\nfrom: debian\n")
    assert (image.name, image.final, image.disable_git_after_patch) == ("build", False, True)


def test_from_names_an_image_of_the_file_if_there_is_one() -> None:
    found = config("image: base\nfrom: debian\n---\nimage: app\nfrom: base\n---\nimage: old\nfromImage: base\n")
    assert [getattr(image, "base_is_image", None) for image in found.images] == [False, True, True]
    assert needs_of(found.images[1]).base == "base"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("image: a\nshell: {}", "from is required"),
        ("image: a\nfrom: x\nfromArtifact: y", "from and fromArtifact exclude each other"),
        ("image: a\nfrom: a", "a is the image itself"),
        ("image: a\nfrom: x\nfromImage: nobody", "from and fromImage exclude each other"),
        ("image: a\nfromImage: nobody", "there is no image nobody"),
        ("image: a\nfrom: x\nshell: {}\nansible: {}", "shell and ansible exclude each other"),
        ("image: a\nfrom: x\ndocker: {}\nimageSpec: {}", "docker and imageSpec exclude each other"),
        ("image: a\nartifact: b\nfrom: x", "image and artifact exclude each other"),
        ("artifact: b\nfrom: x\ndocker: {USER: a}", "an artifact cannot have this"),
        ("image: a\nfrom: x\ngit: [{add: a, to: /b}]", "a: an absolute path is needed"),
        ("image: a\nfrom: x\ngit: [{add: /a}]", "git[0].to is required"),
        ("image: a\nfrom: x\ngit: [{to: /a, includePaths: [/b]}]", "/b: a relative pattern is needed"),
        ("image: a\nfrom: x\ngit: [{to: /a, branch: b}]", "only a repository with url has this"),
        ("image: a\nfrom: x\ngit: [{to: /a, url: u, branch: b, tag: c}]", "branch and tag exclude each other"),
        ("image: a\nfrom: x\nmount: [{to: /a, from: tmp_dir}, {to: /a/, from: tmp_dir}]", "two mounts at /a"),
        ("image: a\nfrom: x\nmount: [{to: /a, from: host}]", "host is neither tmp_dir nor build_dir"),
        ("image: a\nfrom: x\nimport: [{from: b, add: /, after: setup}]", "without includePaths"),
        ("image: a\nfrom: x\nimport: [{from: b, add: /x}]", "exactly one of before or after is needed"),
        ("image: a\nfrom: x\nimport: [{from: b, add: /x, before: from}]", "from is neither install nor setup"),
        ("image: a\nfrom: x\nimport: [{from: b, add: /x, before: setup}]", "there is no image b"),
        ("image: a\nfrom: x\ndependencies: [{image: a}]", "exactly one of before or after is needed"),
        ("image: a\nfrom: x\nargs: {}", "unknown key image a.args"),
    ],
)
def test_what_is_wrong_in_a_stapel_image(text: str, why: str) -> None:
    assert why in refused(text).message


# Across documents


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("image: a\ndockerfile: D\n---\nimage: a\ndockerfile: E", "image a is there twice"),
        ("image: ~\ndockerfile: D\n---\nimage: a\ndockerfile: E", "only a sole final image may be without a name"),
        (
            (
                "image: a\ndockerfile: D\nplatform: [linux/amd64, linux/arm64]\ndependencies: [{image: b}]\n"
                "---\nimage: b\ndockerfile: D\nplatform: linux/amd64"
            ),
            "a is built for linux/arm64, but b, which it needs, is not",
        ),
        ("image: a\ndockerfile: D\ndependencies: [{image: a}]", "a circle: a -> a"),
        (
            (
                "image: a\nfrom: b\n---\nimage: b\ndockerfile: D\ndependencies: [{image: c}]\n---\nimage: c\nfrom: x\n"
                "import: [{from: a, add: /x, after: setup}]"
            ),
            "images need each other in a circle: a -> b -> c -> a",
        ),
    ],
)
def test_what_is_wrong_across_documents(text: str, why: str) -> None:
    assert why in refused(text).message


def test_a_nameless_image_beside_images_that_are_not_final() -> None:
    assert len(config("image: ~\ndockerfile: D\n---\nimage: a\ndockerfile: E\nfinal: false\n").images) == 2


CHAIN = (
    "image: c\ndockerfile: D\ndependencies: [{image: b}]\n---\nimage: b\ndockerfile: D\ndependencies: [{image: a}]\n"
    "---\nimage: a\ndockerfile: D\n---\nimage: other\ndockerfile: D\n"
)


def test_what_is_needed_comes_with_what_is_wanted() -> None:
    found = config(CHAIN)
    assert with_needed(found, ["b"]) == ("b", "a")
    assert with_needed(found, ["other"]) == ("other",)


def test_sets_hold_what_can_be_built_at_once() -> None:
    found = config(CHAIN)
    assert build_sets(found, ["c", "other"]) == (("a", "other"), ("b",), ("c",))


class Name(str):
    """A name that counts how often it is looked up, in dicts and sets."""

    looked_up = 0

    def __hash__(self) -> int:
        Name.looked_up += 1
        return super().__hash__()


def lookups(shape: str, count: int) -> int:
    """How many lookups it takes to arrange so many images."""
    names = [Name(f"i{number}") for number in range(count)]
    needs = {
        "a chain": lambda n: names[n - 1 : n],
        "a chain, the last one first": lambda n: names[n + 1 : n + 2],
        "one that all need": lambda n: names[:1] if n else [],
        "one that needs all": lambda n: [] if n else names[1:],
        "each needs three": lambda n: names[max(0, n - 3) : n],
    }[shape]
    needed = {name: needs(number) for number, name in enumerate(names)}
    Name.looked_up = 0
    assert sum(map(len, sets_of(needed))) == count
    return Name.looked_up


@pytest.mark.parametrize(
    "shape",
    [
        *("a chain", "a chain, the last one first", "one that all need", "one that needs all", "each needs three"),
    ],
)
def test_twice_as_many_images_are_twice_the_work(shape: str) -> None:
    few, many = lookups(shape, 200), lookups(shape, 400)
    assert few > 200
    assert many < 2.1 * few


def test_an_image_is_built_as_early_as_it_can_be() -> None:
    needed = {"d": ("a", "c"), "a": (), "c": ("b",), "b": ("a",), "e": ("a",), "f": ()}
    assert sets_of(needed) == (("a", "f"), ("b", "e"), ("c",), ("d",))
    assert sets_of({}) == ()


def test_a_long_chain_of_images_needs_no_deep_stack() -> None:
    parts = [f"image: i{n}\ndockerfile: D\ndependencies: [{{image: i{n + 1}}}]" for n in range(1200)]
    found = config("\n---\n".join([*parts, "image: i1200\ndockerfile: D"]))
    assert len(build_sets(found, ["i0"])) == 1201
