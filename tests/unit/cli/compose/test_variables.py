"""Which images a compose file uses, and by which variables."""

from __future__ import annotations

import pytest

from pywerf.cli.compose.variables import used_images, used_variables, variable, variables
from pywerf.errors import UsageError


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("app", "WERF_APP_DOCKER_IMAGE_NAME"),
        ("dev/app-frontend.v2", "WERF_DEV_APP_FRONTEND_V2_DOCKER_IMAGE_NAME"),
        ("geodata_backend", "WERF_GEODATA_BACKEND_DOCKER_IMAGE_NAME"),
        ("", "WERF_DOCKER_IMAGE_NAME"),
    ],
)
def test_the_variable_of_an_image(image: str, name: str) -> None:
    assert variable(image) == name
    assert variables({image: "r/x:1"}) == {name: "r/x:1"}
    assert used_images([image, "other"], {name}, ()) == ([image], [])


def test_images_with_one_variable() -> None:
    with pytest.raises(UsageError, match="web/api and web-api have the same variable, WERF_WEB_API_DOCKER_IMAGE_NAME"):
        variables({"web/api": "a", "web-api": "b"})


def test_all_forms_of_a_variable_count() -> None:
    text = """\
    image: $WERF_A_DOCKER_IMAGE_NAME
    image: "${WERF_B_1_DOCKER_IMAGE_NAME}"
    image: ${WERF_C_DOCKER_IMAGE_NAME:-$WERF_DOCKER_IMAGE_NAME} ${WERF_D_DOCKER_IMAGE_NAME?none}
    environment: [WERF_E_DOCKER_IMAGE_NAME]
    image: $WERF_F_DOCKER_IMAGE_NAMES $OTHER_WERF_G_DOCKER_IMAGE_NAME $WERF_H_DOCKER_IMAGE_ID $WERFDOCKER_IMAGE_NAME
    """
    assert used_variables(text) == {
        *(f"WERF_{name}_DOCKER_IMAGE_NAME" for name in ("A", "B_1", "C", "D", "E")),
        "WERF_DOCKER_IMAGE_NAME",
    }


def test_images_in_the_order_of_werf_yaml_and_what_is_nobodys() -> None:
    used = {variable(name) for name in ("web", "api", "lost", "own")}
    assert used_images(["web", "spare", "api"], used, [variable("own")]) == (["web", "api"], [variable("lost")])
    assert used_images(["web"], set(), ()) == ([], [])
