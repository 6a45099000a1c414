"""Which response models have an outline, and that what lies just beside it is pydantic's."""

import datetime
import enum
import uuid
import warnings
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from pydantic import (
    UUID4,
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    SerializeAsAny,
    Strict,
    TypeAdapter,
    WrapValidator,
    computed_field,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticSerializationError, SchemaSerializer, SchemaValidator, core_schema
from typing_extensions import TypedDict

import forzium
from forzium.exceptions import ResponseValidationError
from forzium.testclient import TestClient

T = TypeVar("T")


class Item(BaseModel):
    name: str
    price: float = 1.5
    tags: list[str] = Field(default_factory=list)


class Colour(enum.StrEnum):
    RED = "r\u00e9d"


class Size(enum.Enum):
    SMALL = 1
    LARGE = "large"
    NONE = None


class Pair(enum.Enum):
    ONE = (1, 2)


class Named(enum.Enum):
    ONE = 1

    @property
    def value(self) -> str:
        return self.name


class Node(BaseModel):
    value: int
    next: "Node | None" = None


class Page(BaseModel, Generic[T]):
    items: list[T]


def outline(model: Any) -> str | None:
    """The outline as a plan shows it."""
    app = forzium.FastAPI()

    @app.get("/", response_model=model)
    async def endpoint() -> None: ...

    stages = forzium.explain(app, "GET", "/").stages
    (found,) = [stage for stage in stages if stage["stage"] == "serialize"]
    return found.get("outline")


def answered(model: Any, value: Any) -> tuple[Any, list[str]]:
    """The body or the errors, and the warnings."""
    app = forzium.FastAPI()

    @app.get("/", response_model=model)
    async def endpoint():
        return value

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            answer: Any = TestClient(app).get("/").content
        except ResponseValidationError as error:
            answer = error.errors()
    return answer, [str(warning.message) for warning in caught]


def by_pydantic(model: Any, value: Any) -> tuple[Any, list[str]]:
    """The same of pydantic."""
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[model, Field()])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            answer: Any = adapter.dump_json(adapter.validate_python(value, from_attributes=True), by_alias=True)
        except ValueError as error:
            errors: Any = error
            answer = [{**each, "loc": ("response", *each["loc"])} for each in errors.errors(include_url=False)]
    return answer, [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        (Item, "Item(name: str, price: float, tags: list[str])"),
        (list[Item] | None, "list[Item(name: str, price: float, tags: list[str])] | None"),
        (Page[Item], "Page[Item](items: list[Item(name: str, price: float, tags: list[str])])"),
        (Node, "Node(value: int, next: Node | None)"),
        (dict[str, Any], "dict[str, any]"),
        (dict, "dict[str, any]"),
        (list, "list[any]"),
        (Literal["b", "a"], "Literal['a', 'b']"),
        (list[datetime.datetime | None], "list[datetime | None]"),
        (dict[str, datetime.date], "dict[str, date]"),
        (list[Colour | None], "list[Colour | None]"),
        (list[Size], "list[Size]"),
        (uuid.UUID, "uuid"),
    ],
)
def test_the_plan_shows_what_is_written_without_pydantic(model: Any, shown: str):
    assert outline(model) == shown


def of(annotation: Any, **config: Any) -> Any:
    """A model of one field, with a configuration."""
    members = {"__annotations__": {"a": annotation}, "__module__": __name__, "model_config": ConfigDict(**config)}
    return type("Model", (BaseModel,), members)


class Serialized(BaseModel):
    a: int = 1

    @model_serializer
    def text(self) -> str:
        return "text"


class Computed(BaseModel):
    a: int = 1

    @computed_field
    def b(self) -> int:
        return 2


class Meta(type(BaseModel)):  # type: ignore[misc]
    def __instancecheck__(cls, instance: Any) -> bool:
        return True


class Odd(BaseModel, metaclass=Meta):
    a: int = 1


class Watching(BaseModel):
    a: int = 1

    def __getattribute__(self, name: str) -> Any:
        return {"a": 2} if name == "__dict__" else super().__getattribute__(name)


class Elsewhere(BaseModel):
    a: int = 1

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return {"a": 2}


class Keys(TypedDict):
    a: int


@pytest.mark.parametrize(
    ("model", "value"),
    [
        (RootModel[int], 1),
        (Keys, {"a": 1, "b": 2}),
        (Serialized, {"a": 1}),
        (Computed, {"a": 1}),
        (Watching, Watching()),
        (Elsewhere, Elsewhere.__new__(Elsewhere)),
        (int | str, 1),
        (bytes, b"a"),
        (Pair, Pair.ONE),
        (Named, Named.ONE),
        (Literal["a", 1], True),
        (dict[int, int], {1: 1}),
        (dict[Literal["a"], int], {"a": 1}),
        (Annotated[dict[str, int], PlainSerializer(len)], {"a": 1}),
        (list[SerializeAsAny[Item]], [{"name": "a"}]),
        (Annotated[int, WrapValidator(lambda value, inner: 3)], 1),
        (of(Annotated[int, Field(exclude=True)]), {"a": 1}),
        (of(Annotated[int, Field(exclude_if=bool)]), {"a": 1}),
        (of(int, extra="allow"), {"a": 1, "b": 2}),
        (of(datetime.date, ser_json_temporal="milliseconds"), {"a": datetime.date(2020, 1, 1)}),
        (of(int, revalidate_instances="always"), of(int, revalidate_instances="always").model_construct(a="1")),
        (of(int, revalidate_instances="subclass-instances"), {"a": 1}),
    ],
)
def test_where_pydantic_does_more_there_is_no_outline(model: Any, value: Any):
    assert outline(model) is None
    assert answered(model, value) == by_pydantic(model, value)


def test_a_metaclass_of_the_users_says_itself_what_an_instance_is():
    assert outline(Odd) is None


class Checked(BaseModel):
    a: int = 1

    @field_validator("a")
    def doubled(cls, value: int) -> int:
        return value * 2


class Seen(BaseModel):
    a: int = 1

    @model_validator(mode="after")
    def seen(self) -> Any:
        self.__dict__["a"] = 5
        return self


class Initialised(BaseModel):
    a: int

    def __init__(self, a: int) -> None:
        super().__init__(a=a + 1)


class Ready(BaseModel):
    a: int

    def model_post_init(self, context: Any) -> None:
        self.a += 1


class Private(BaseModel):
    a: int
    _b: int = 2


class Made(BaseModel):
    a: int

    def __new__(cls, *args: Any, **options: Any) -> Any:
        raise RuntimeError("made")


class Left(BaseModel):
    a: int
    gone: list[Any] = []

    def __del__(self) -> None:
        self.gone.append(self)


FEW = Annotated[list[int], Field(max_length=1)]


@pytest.mark.parametrize(
    ("model", "shown", "value"),
    [
        (of(Annotated[str, Field(max_length=1)]), "Model(a: <str>)", {"a": "ab"}),
        (of(Annotated[str, Field(pattern="^b")]), "Model(a: <str>)", {"a": "ab"}),
        (of(Annotated[int, Field(ge=0)]), "Model(a: <int>)", {"a": -1}),
        (of(Annotated[int, Field(multiple_of=2)]), "Model(a: <int>)", {"a": 1}),
        (of(Annotated[float, Strict()]), "Model(a: <float>)", {"a": 1}),
        (of(FEW), "Model(a: <list[int]>)", {"a": [1, 2]}),
        (
            of(Annotated[datetime.date, Field(gt=datetime.date(2020, 1, 1))]),
            "Model(a: <date>)",
            {"a": datetime.date(1, 1, 1)},
        ),
        (of(Annotated[int, BeforeValidator(lambda value: 7)]), "Model(a: <int>)", {"a": 1}),
        (of(Annotated[int, AfterValidator(lambda value: 7)]), "Model(a: <int>)", {"a": 1}),
        (Checked, "Checked(a: <int>)", {"a": 1}),
        (Seen, "<Seen(a: int)>", {"a": 1}),
        (Seen, "<Seen(a: int)>", Seen.model_construct(a=1)),
        (Initialised, "Initialised instance(a: int)", {"a": 1}),
        (Ready, "Ready instance(a: int)", {"a": 1}),
        (Private, "Private instance(a: int)", {"a": 1}),
        (of(int, strict=True), "Model instance(a: int)", {"a": True}),
        (of(float, strict=True), "Model instance(a: float)", {"a": 1}),
        (of(str, str_strip_whitespace=True), "Model instance(a: str)", {"a": " a "}),
        (of(str, str_to_upper=True), "Model instance(a: str)", {"a": "a"}),
        (of(int, extra="forbid"), "Model instance(a: int)", {"a": 1, "b": 2}),
        (
            of(Annotated[int, Field(validation_alias=AliasChoices("x", "a"))]),
            "Model instance(a: int)",
            {"x": 1, "a": 2},
        ),
        (Left, "Left instance(a: int, gone: list[any])", {"a": 1}),
    ],
)
def test_what_validation_changes_or_refuses_is_certain_only_of_instances(model: Any, shown: str, value: Any):
    assert outline(model) == shown
    assert answered(model, value) == by_pydantic(model, value)


def test_code_of_the_users_that_makes_instances_runs():
    assert outline(Made) == "Made instance(a: int)"
    with pytest.raises(RuntimeError, match="made"):
        answered(Made, {"a": 1})


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    a: int = Field(alias='A"é')
    b: int = Field(validation_alias="c", serialization_alias="d")
    c: int = 3


class Weird:
    """Equal to a key, and of the same hash."""

    def __hash__(self) -> int:
        return hash("name")

    def __eq__(self, other: object) -> bool:
        return other == "name"


class Defaults(BaseModel):
    changed: Annotated[int, Field(validate_default=True)] = "5"  # type: ignore[assignment]
    kept: int = "6"  # type: ignore[assignment]
    made: list[int] = Field(default_factory=lambda: [7])
    many: dict[str, list[int]] = {"a": [1]}
    instance: Item = Item(name="d")


@pytest.mark.parametrize(
    ("model", "value"),
    [
        (Aliased, {'A"é': 1, "c": 2}),
        (Aliased, {"b": 5, "c": 2, "a": 1}),
        (Aliased, {"a": 1, "c": 2, 'A"é': 4}),
        (Aliased, {"a": 1, "b": 2}),
        (Item, {"price": 2, "name": "n"}),
        (Item, {3: 4, "name": "n"}),
        (Item, {Weird(): "w", "price": 1.0}),
        (Item, {"price": 1.0, Weird(): "w"}),
        (Item, {}),
        (Item, {"name": "a" * 70_000}),
        (Item, {"name": "n", "price": 2**53 + 1}),
        (Item, {"name": "n", "price": float("nan")}),
        (Item, {"name": "n", "price": True}),
        (Item, {"name": "n", "tags": ("a",)}),
        (Item, Item.model_construct(name=1, price=2, tags=["a"])),
        (Item, Item.model_construct(name="n")),
        (Item, Item.model_construct()),
        (Defaults, {}),
        (Defaults, {"changed": 1, "made": []}),
        (Defaults, {"changed": 1, "made": [], "kept": 1}),
        (Defaults, {"changed": 1, "made": [], "kept": 1, "instance": {"name": "e"}}),
        (Node, {"value": 10**30, "next": None}),
        (Literal["a", "b"], "c"),
        (list[Colour], ["r\u00e9d", "RED"]),
        (list[Size], [1, Size.SMALL]),
        (UUID4, uuid.UUID(int=1)),
        (uuid.UUID, "00000000-0000-0000-0000-000000000001"),
        (dict[str, int], {"a" * 70_000: 1}),
        (dict[str, Any], {"a": {1: 2}}),
    ],
)
def test_values_beside_the_outline_are_pydantics(model: Any, value: Any):
    assert outline(model) is not None
    assert answered(model, value) == by_pydantic(model, value)


@pytest.mark.parametrize(
    ("model", "value"),
    [
        (list[Colour], [Colour.RED]),
        (list[Size], [Size.LARGE, Size.SMALL, Size.NONE]),
        (
            list[uuid.UUID],
            [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")],
        ),
        (list[UUID4], [uuid.UUID("c9bf9e57-1685-4c89-bafb-ff5af830be8a")]),
        (
            list[datetime.datetime],
            [datetime.datetime(7, 1, 2, 3, 4, 5, 60), datetime.datetime(2020, 12, 31, tzinfo=datetime.UTC)],
        ),
    ],
)
def test_what_json_has_no_form_for_is_written_as_pydantic_writes_it(model: Any, value: Any):
    assert answered(model, value) == by_pydantic(model, value)


def test_a_lone_surrogate_is_pydantics_error():
    with pytest.raises(PydanticSerializationError, match="surrogates not allowed"):
        answered(Item, {"name": "\ud800"})


def test_depth_and_cycles_are_pydantics():
    deep: dict[str, Any] = {"value": 0}
    for value in range(100):
        deep = {"value": value, "next": deep}
    assert answered(Node, deep) == by_pydantic(Node, deep)
    node = Node(value=1)
    node.next = node
    with pytest.raises(ValueError, match="Circular reference"):
        answered(Node, node)


@pytest.mark.parametrize("name", ["__pydantic_validator__", "__pydantic_serializer__", "__pydantic_core_schema__"])
def test_a_class_that_has_come_by_another_validator_or_serializer_has_no_outline(name: str):
    class Replaced(BaseModel):
        a: int

    assert outline(list[Replaced]) is not None
    fields = core_schema.model_fields_schema({"a": core_schema.model_field(core_schema.any_schema())})
    schema = core_schema.model_schema(Replaced, fields)
    other = {
        "__pydantic_validator__": SchemaValidator(schema),
        "__pydantic_serializer__": SchemaSerializer(schema),
        "__pydantic_core_schema__": schema,
    }
    setattr(Replaced, name, other[name])
    assert outline(list[Replaced]) is None
