"""Signatures are analysed alike: same fields in the same places, same schemas, same refusals."""

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.harness import Framework
from conformance.signatures import both, dependant_facts, make_endpoint, param_specs, signatures

_MODULES = ("params", "param_functions", "utils", "encoders", "dependencies.utils", "dependencies.models")


def _shape(obj: Any) -> list[Any]:
    def default(value: Any) -> Any:
        return ("unset", value.value) if type(value).__name__ == "DefaultPlaceholder" else value

    return [(item.name, item.kind, default(item.default)) for item in inspect.signature(obj).parameters.values()]


@pytest.mark.parametrize("module", _MODULES)
def test_public_callables_have_the_same_signatures(module: str) -> None:
    def shapes(fw: Framework) -> dict[str, Any]:
        oracle = Framework("fastapi").module(module)
        names = [
            name
            for name, obj in vars(oracle).items()
            if not name.startswith("_")
            and callable(obj)
            and getattr(obj, "__module__", "") == oracle.__name__
            and name not in ("Color", "PyExtraColor", "ParamTypes")
        ]
        return {name: _shape(getattr(fw.module(module), name)) for name in names}

    oracle, ours = both(shapes)
    assert ours == oracle


@given(signatures(), st.sampled_from(["/", "/items/{item_id}", "/{item_id}/{user_id}"]))
def test_random_signatures_give_the_same_dependants(specs: Any, path: str) -> None:
    oracle, ours = both(
        lambda fw: dependant_facts(
            fw.module("dependencies.utils").get_dependant(path=path, call=make_endpoint(fw, specs))
        )
    )
    assert ours == oracle


@given(signatures(), st.booleans())
def test_random_bodies_give_the_same_body_field(specs: Any, force: bool) -> None:
    from conformance.signatures import field_facts

    def body_field(fw: Framework) -> Any:
        utils = fw.module("dependencies.utils")
        dependant = utils.get_dependant(path="/", call=make_endpoint(fw, specs))
        ours = fw.name == "forzium"
        flat = (utils.get_flat_body_params if ours else utils._get_flat_body_params)(dependant)
        embed = (utils.should_embed_body_fields if ours else utils._should_embed_body_fields)(flat) or (
            force and flat != []
        )
        make = utils.get_body_field if ours else utils._get_body_field
        field = make(body_params=flat, name="op", embed_body_fields=embed)
        facts = field and field_facts(field)
        if facts:
            facts["repr"] = facts["annotation"] = facts["_attributes_set"] = None  # classes made for the occasion
            # titles of tagged models are the only place where validators show their names
        return embed, facts

    oracle, ours = both(body_field)
    assert ours == oracle


@given(param_specs("x_token"))
def test_flat_parameters_are_the_same(spec: Any) -> None:
    def flat(fw: Framework) -> Any:
        utils = fw.module("dependencies.utils")
        depends = fw.Depends(make_endpoint(fw, [spec]))

        def endpoint(a: int, b: Any = depends, c: Any = depends) -> None: ...

        dependant = utils.get_dependant(path="/{a}", call=endpoint)
        return [
            (field.name, field.alias, type(field.field_info).__name__) for field in utils.get_flat_params(dependant)
        ]

    oracle, ours = both(flat)
    assert ours == oracle
