from __future__ import annotations

import msgspec
import pytest

from pywerf.build.options import BuildOptions, EngineOptions, Output, RegistryOptions


@pytest.mark.parametrize("kind", [BuildOptions, EngineOptions, RegistryOptions])
def test_options_have_defaults_and_cannot_be_changed(kind: type[msgspec.Struct]) -> None:
    value = kind()
    assert value == kind()
    field = kind.__struct_fields__[0]
    with pytest.raises(AttributeError):
        setattr(value, field, "x")


def test_a_change_is_a_new_value() -> None:
    options = BuildOptions(context="a")
    changed = msgspec.structs.replace(options, context="b", quiet=True)
    assert (options.context, options.quiet) == ("a", False)
    assert (changed.context, changed.quiet) == ("b", True)


def test_every_field_can_be_made_to_differ() -> None:
    """No field is left out of comparisons."""
    plain = BuildOptions()
    for field in msgspec.structs.fields(BuildOptions):
        assert msgspec.structs.replace(plain, **{field.encode_name: object()}) != plain


def test_outputs_do_not_share_their_attributes() -> None:
    one, two = Output("oci"), Output("oci")
    one.attributes["name"] = "x"
    assert two.attributes == {}
