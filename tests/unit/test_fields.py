"""Model fields share what is equal and wait with what may wait; declarations warn and refuse in the right place."""

import gc
import warnings
from decimal import Decimal
from typing import Any, Literal, Union

import pytest
from pydantic import AliasChoices, BaseModel, Field
from pydantic.fields import FieldInfo

from forzium import params
from forzium._fields import ModelField, adapters, get_definitions, is_scalar_field
from forzium.encoders import decimal_encoder, jsonable_encoder
from forzium.exceptions import FastAPIDeprecationWarning, FastAPIError
from forzium.param_functions import Body, File, Form, Query
from forzium.utils import create_model_field


class Item(BaseModel):
    name: str


def field(annotation: Any, **options: Any) -> ModelField:
    info = params.Query(annotation=annotation, **options)
    return ModelField(field_info=info, name="q")


def test_equal_fields_share_one_adapter() -> None:
    assert field(int)._type_adapter is field(int, alias="other")._type_adapter
    assert field(Item | None, default=None)._type_adapter is field(Item | None, default=None)._type_adapter
    assert field(int, ge=1)._type_adapter is field(int, ge=1)._type_adapter


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((int, {}), (str, {})),
        ((int, {"default": 1}), (int, {"default": True})),
        ((float, {"default": 1}), (float, {"default": 1.0})),
        ((float, {"default": 0.0}), (float, {"default": -0.0})),
        ((float, {"ge": 1}), (float, {"ge": 1.0})),
        ((int, {"title": "a"}), (int, {})),
        ((int, {"description": "a"}), (int, {})),
        ((int, {"deprecated": True}), (int, {})),
        ((Union[int, str], {}), (Union[str, int], {})),
        ((list[Union[int, str]], {}), (list[Union[str, int]], {})),
        ((Literal[1], {}), (Literal[1], {})),
        ((int, {"examples": [1]}), (int, {"examples": [1]})),
    ],
)
def test_fields_that_differ_do_not_share(left: Any, right: Any) -> None:
    assert field(left[0], **left[1])._type_adapter is not field(right[0], **right[1])._type_adapter


def test_shared_adapters_go_with_their_last_field() -> None:
    def declare() -> int:
        class Local(BaseModel):
            a: int

        kept = field(list[Local])
        assert kept._type_adapter
        return len(adapters._shared)

    size = declare()
    gc.collect()
    assert len(adapters._shared) < size


def test_a_field_is_what_was_declared_though_its_declaration_is_used_again() -> None:
    shared = Query()
    shared.annotation = int
    first = ModelField(field_info=shared, name="a")
    shared.annotation = str
    second = ModelField(field_info=shared, name="b")
    assert first.validate("1") == (1, [])
    assert second.validate("1") == ("1", [])


@pytest.mark.parametrize("annotation", [type("Unknown", (), {}), list[type("Unknown", (), {})]])  # type: ignore[misc]
def test_what_pydantic_cannot_validate_is_refused_at_once(annotation: Any) -> None:
    with pytest.raises(FastAPIError, match="Invalid args for response field"):
        create_model_field("f", annotation)


@pytest.mark.parametrize("options", [{"max_length": -1}, {"gt": "x"}, {"pattern": "("}, {"discriminator": "kind"}])
def test_constraints_that_pydantic_refuses_are_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(Exception):  # noqa: B017  (pydantic has a class for each)
        field(str if "max_length" in options or "pattern" in options else int, **options)


def test_definitions_are_right_for_fields_that_share() -> None:
    fields = [field(Item), ModelField(field_info=FieldInfo(annotation=Item), name="out", mode="serialization")]
    mapping, definitions = get_definitions(fields=fields, model_name_map={})
    assert set(definitions) == {"Item"}
    assert [mapping[item, item.mode] for item in fields] == [{"$ref": "#/components/schemas/Item"}] * 2


def test_deprecated_options_warn_at_the_line_of_the_declaration() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Query(regex="a")
        Form(example=1)
        File(example=1)
        params.Body(regex="a")
    assert [item.filename for item in caught] == [__file__] * 4
    assert {item.category for item in caught} == {FastAPIDeprecationWarning}


@pytest.mark.parametrize("function", [Query, Body, Form, params.Query, params.Form])
def test_unknown_options_are_refused(function: Any) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        function(nonsense=1)
    if function is not Body:
        with pytest.raises(TypeError, match="unexpected keyword argument 'embed'"):
            function(embed=True)


def test_a_decimal_of_many_digits_does_not_become_an_integer() -> None:
    assert jsonable_encoder(Decimal("1e999999999")) == "1E+999999999"
    assert jsonable_encoder(Decimal("-1e-999999999")) == 0.0
    assert decimal_encoder(Decimal(10) ** 4299) == 10**4299
    assert str(decimal_encoder(Decimal("sNaN"))) == "nan"


def test_scalar_fields_are_no_bodies() -> None:
    assert is_scalar_field(field(int))
    assert not is_scalar_field(ModelField(field_info=params.Body(annotation=int), name="q"))


def test_aliases_are_those_of_the_declaration() -> None:
    chosen = field(int, validation_alias=AliasChoices("a", "b"), alias="c", serialization_alias="d")
    assert (chosen.alias, chosen.validation_alias, chosen.serialization_alias) == ("c", None, "d")
    info = FieldInfo.from_annotated_attribute(int, Field(alias="x"))
    assert ModelField(field_info=info, name="n").validation_alias == "x"
