"""The schemas of many fields at once: what pydantic's own generator answers, with less work."""

from typing import Annotated, Any, Literal

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema as PydanticGenerateJsonSchema

from forzium._fields import ModelField
from forzium._fields.schema import GenerateJsonSchema
from forzium.openapi._schemas import DocumentSchemas

REFERENCES = "#/components/schemas/{model}"


class Tree(BaseModel):
    value: int
    parent: "Tree | None" = None


class Computed(BaseModel):
    name: str = "a"

    @pydantic.computed_field
    @property
    def length(self) -> int:
        return len(self.name)


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    friend: Computed | None = None


def _model(name: str, module: str, **fields: Any) -> Any:
    return create_model(name, __module__=module, **fields)


LEFT = _model("Twin", "left", a=(int, 1))
RIGHT = _model("Twin", "right", a=(int, 1))
OTHER = _model("Twin", "other", b=(Computed, ...))
HOLDERS = [
    _model("Holder", "left", twin=(LEFT, ...), tree=(Tree | None, None)),
    _model("Holder", "right", twin=(RIGHT, ...), tree=(Tree | None, None)),
    _model("Holder", "other", twin=(OTHER, ...), same=(LEFT, ...)),
    _model("Holder__left", "other", twin=(list[OTHER], ...)),
]
ANNOTATIONS = [
    int,
    str | None,
    list[int],
    Tree,
    list[Tree],
    Computed,
    LEFT,
    RIGHT,
    OTHER,
    *HOLDERS,
    dict[str, HOLDERS[0]],
    Annotated[Cat | Dog, Field(discriminator="kind")],
    Cat | Computed | None,
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(range(len(ANNOTATIONS))), st.sampled_from(["validation", "serialization"]))))
def test_definitions_are_those_of_pydantic(chosen: list[tuple[int, Any]]):
    fields = [
        ModelField(field_info=FieldInfo(annotation=ANNOTATIONS[which]), name=f"field_{index}", mode=mode)
        for index, (which, mode) in enumerate(chosen)
    ]
    inputs = [(index, field.mode, field._type_adapter.core_schema) for index, field in enumerate(fields)]
    expected = PydanticGenerateJsonSchema.generate_definitions(GenerateJsonSchema(ref_template=REFERENCES), inputs)
    found = DocumentSchemas(ref_template=REFERENCES).generate_definitions(inputs)
    assert found == expected
    assert list(found[1]) == list(expected[1])


def test_a_generator_is_used_once():
    generator = DocumentSchemas(ref_template=REFERENCES)
    generator.generate_definitions([])
    with pytest.raises(pydantic.PydanticUserError):
        generator.generate_definitions([])
