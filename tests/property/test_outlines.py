"""A response model's JSON: what is written without pydantic, by the outline, is what FastAPI makes of the value.

Models are drawn from what outlines know and from what lies beside it, values from what fits and from what nearly does. The
oracle is FastAPI's own `serialize_response`: the same text, the same error, the same warnings.
"""

import datetime
import decimal
import enum
import uuid
import warnings
from collections.abc import Awaitable, Callable
from random import Random
from typing import Annotated, Any, Literal

from conformance.harness import Request
from fastapi._compat import ModelField
from fastapi.routing import serialize_response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    computed_field,
    create_model,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

import forzium


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


class Text(str):
    """A `str` that is none exactly."""


class Mapping(dict):
    """A `dict` that is none exactly."""

    def __missing__(self, key: Any) -> Any:
        return 1


class Tree(BaseModel):
    name: str
    children: list["Tree"] = []
    parent: "Tree | None" = None


class Attributes:
    """Any object with attributes."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


LEAVES: list[Any] = [
    *(str, int, float, bool, type(None), Any) * 3,
    *(datetime.datetime, datetime.date, Literal["a", "b"], Literal["a", 1]),
    *(decimal.Decimal, uuid.UUID, Colour, Size, bytes, int | str, Tree),
    Annotated[str, Field(max_length=2)],
    Annotated[int, Field(ge=0)],
    Annotated[float, Field(allow_inf_nan=False)],
    Annotated[str, BeforeValidator(str)],
    Annotated[int, PlainSerializer(str)],
]
CONFIGS: list[dict[str, Any]] = [
    *({},) * 12,
    {"from_attributes": True, "frozen": True},
    {"populate_by_name": True},
    {"validate_by_alias": False, "validate_by_name": True},
    {"serialize_by_alias": False},
    {"extra": "allow"},
    {"extra": "forbid"},
    {"extra": "ignore", "title": "Other"},
    {"strict": True},
    {"str_strip_whitespace": True},
    {"str_max_length": 3},
    {"coerce_numbers_to_str": True},
    {"revalidate_instances": "always"},
    {"revalidate_instances": "subclass-instances"},
    {"validate_default": True},
    {"validate_assignment": True},
    {"ser_json_inf_nan": "strings"},
    {"ser_json_inf_nan": "constants", "allow_inf_nan": False},
    {"ser_json_bytes": "base64"},
    {"use_enum_values": True},
    {"alias_generator": str.upper},
]
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**53, 2**53 + 1, 2**63, -(2**63), 10**30, 0.0, -0.0, 1.0, 1e16, 1e-7),
    *(float("nan"), float("inf"), "", "a", "1", "true", " x ", 'é"\\\x00\x7f\u2028', "\ud800", "😀", Text("a")),
    *(b"a", (), ("a",), set(), [], {}, Mapping(a=1), {1: 2}, {"a": None}, {Text("a"): 1}, Colour.RED),
    *(decimal.Decimal("1.50"), uuid.UUID(int=7), object, Attributes(name="n"), iter(())),
    *(datetime.datetime(2020, 1, 2), datetime.datetime(1, 1, 1, 2, 3, 4, 500), datetime.date(999, 1, 2)),
    datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
    datetime.datetime(2020, 1, 2, 3, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    *("2020-01-02", "2020-01-02T00:00:00", 1577923200),
    Tree(name="t", children=[Tree(name="u")]),
    Tree.model_construct(children=[]),
]


def annotation(rng: Random, depth: int) -> Any:
    """A type: one that outlines know, or one beside."""
    match rng.randrange(8) if depth else 0:
        case 0 | 1 | 2:
            return rng.choice(LEAVES)
        case 3:
            return list[annotation(rng, depth - 1)]
        case 4:
            return dict[rng.choice([str, str, str, Any, int]), annotation(rng, depth - 1)]
        case 5:
            return annotation(rng, depth - 1) | None
    return model(rng, depth - 1)


def model(rng: Random, depth: int) -> Any:
    """A model class; one in four has something of the user's in it."""
    fields: dict[str, Any] = {}
    for name in rng.sample(["alpha", "beta", "gamma", "delta"], rng.randrange(5)):
        options: dict[str, Any] = {}
        match rng.randrange(12):
            case 0:
                options["alias"] = rng.choice(["Alpha", "é", 'a"b', "beta"])
            case 1:
                options["validation_alias"] = rng.choice(["other", AliasChoices("x", name)])
            case 2:
                options["serialization_alias"] = "out"
            case 3:
                options["exclude"] = True
            case 4:
                options["validate_default"] = True
        match rng.randrange(6):
            case 0:
                options["default"] = rng.choice([None, 1, "d", 1.5, [], {}, ["d"], datetime.date(2020, 1, 1), {"d": 1}])
            case 1:
                options["default_factory"] = rng.choice([list, dict, str, lambda: [1]])
        fields[name] = (annotation(rng, depth), Field(**options))
    base = rng.choice(BASES) if rng.randrange(4) == 0 else None
    config = rng.choice(CONFIGS)
    if base is None:
        return create_model("Model", __config__=ConfigDict(**config), **fields)
    if issubclass(base, RootModel):
        return RootModel[annotation(rng, depth)]
    return type("Model", (create_model("Base", __base__=base, **fields),), {"model_config": ConfigDict(**config)})


class Checked(BaseModel):
    """Has validators."""

    @model_validator(mode="after")
    def after(self):
        self.__dict__["seen"] = True
        return self


class Changed(BaseModel):
    """Changes what it is given."""

    first: str = "f"

    @field_validator("first")
    def doubled(cls, value: str) -> str:
        return value * 2


class Written(BaseModel):
    """Writes a field in a way of its own."""

    first: int = 1

    @field_serializer("first")
    def as_text(self, value: int) -> str:
        return f"<{value}>"


class Computed(BaseModel):
    """Has a field that it computes."""

    @computed_field
    def total(self) -> int:
        return 3


class Private(BaseModel):
    """Has an attribute that nobody sees."""

    _secret: int = PrivateAttr(1)


class Initialised(BaseModel):
    """Has an `__init__` of its own."""

    def __init__(self, **data: Any) -> None:
        super().__init__(**{key: value for key, value in data.items() if value is not None})


class Made(BaseModel):
    """Has a `__new__` of its own."""

    def __new__(cls, *args: Any, **options: Any) -> Any:
        instance = super().__new__(cls)
        MADE.append(cls)
        return instance


class Watching(BaseModel):
    """Sees who reads its attributes."""

    def __getattribute__(self, name: str) -> Any:
        return {"alpha": "watched"} if name == "__dict__" else super().__getattribute__(name)


MADE: list[type] = []
BASES: list[Any] = [Checked, Changed, Written, Computed, Private, Initialised, Made, Watching, RootModel, Tree]


def value(rng: Random, of: Any, depth: int = 6) -> Any:
    """A value that fits a type, or nearly does."""
    if rng.randrange(25) == 0 or depth == 0:
        return rng.choice(ODD)
    origin = getattr(of, "__origin__", None)
    if origin is Annotated:
        of = origin = of.__origin__
    if isinstance(of, type) and issubclass(of, RootModel):
        return value(rng, of.model_fields["root"].annotation, depth - 1)
    if isinstance(of, type) and issubclass(of, BaseModel):
        return of_model(rng, of, depth)
    if origin is list:
        return [value(rng, of.__args__[0], depth - 1) for _ in range(rng.choice([0, 1, 2, 3, 3]))]
    if origin is dict:
        keys = rng.sample(["a", "b", "é", "\x01", "1", 'q"'], rng.randrange(4))
        return {key: value(rng, of.__args__[1], depth - 1) for key in keys}
    if origin is Literal:
        return rng.choice(of.__args__)
    arguments = getattr(of, "__args__", ())
    if arguments:
        return value(rng, rng.choice(arguments), depth - 1)
    fitting = {
        str: ["", "a", "bc", "é😀", 'x"\n'],
        int: [0, 1, -5, 2**40],
        float: [0.5, -1e-9, 3.0, 1e300, 2, -7],
        bool: [True, False],
        datetime.datetime: [
            datetime.datetime(2021, 2, 3, 4, 5, 6, 70),
            datetime.datetime(2021, 2, 3, tzinfo=datetime.UTC),
        ],
        datetime.date: [datetime.date(2021, 2, 3)],
    }
    known = {type(None): [None], decimal.Decimal: [decimal.Decimal("1.5")], uuid.UUID: [uuid.UUID(int=1)]}
    return rng.choice(
        {**fitting, **known, Colour: [Colour.RED, "red"], Size: [Size.SMALL, 1], bytes: [b"b"]}.get(
            of, [None, 1, "x", [1, {"y": 2.5}]]
        )
    )


def of_model(rng: Random, of: Any, depth: int) -> Any:
    """A dict for a model, or an instance of it, or something like one."""
    named = {name: value(rng, field.annotation, depth - 1) for name, field in of.model_fields.items()}
    if rng.randrange(12) == 0 and named:
        del named[rng.choice(list(named))]
    if rng.randrange(10) == 0:
        named = {key: named[key] for key in rng.sample(list(named), len(named))}
    way = rng.randrange(12)
    if way in (0, 1, 2):
        cls = type("Sub", (of,), {}) if rng.randrange(8) == 0 else of
        try:
            instance = cls.model_construct(**named) if way == 0 else cls.model_validate(keyed(rng, of, named))
        except Exception:
            return named
        if rng.randrange(8) == 0:
            vars(instance)["more"] = 1
        return instance
    if way == 3:
        return Attributes(**named)
    given = keyed(rng, of, named)
    if way == 4:
        return Mapping(given)
    if way == 5:
        given = {rng.choice(["zeta", Text("zeta"), 3]): 1, **given}
    if way == 6:
        given["last"] = 1
    return given


def keyed(rng: Random, of: Any, named: dict[str, Any]) -> dict[str, Any]:
    """Values under keys that the model takes, most of the time."""
    by_name = rng.randrange(5) == 0

    def key(field: FieldInfo, name: str) -> str:
        alias = field.validation_alias
        key = alias if isinstance(alias, str) and not by_name else name
        # Read from somewhere, keys are equal to those of the program, but not the same.
        return key if rng.randrange(3) else "".join(list(key))

    return {key(of.model_fields[name], name): item for name, item in named.items()}


def finished(coroutine: Awaitable[Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    steps = coroutine.__await__()
    try:
        next(steps)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("expected a coroutine that waits for nothing")


def seen(work: Callable[[], Any]) -> Any:
    """What there is to be seen of some work: result or error, and warnings."""
    MADE.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = work()
        except Exception as error:
            errors = getattr(error, "errors", None)
            result = type(error).__name__, repr(errors() if callable(errors) else error)
    return result, [str(warning.message) for warning in caught], len(MADE)


def by_fastapi(of: Any, returned: Any) -> Callable[[], bytes]:
    field = ModelField(field_info=FieldInfo(annotation=of), name="response", mode="serialization")
    return lambda: finished(serialize_response(field=field, response_content=returned, dump_json=True))


def by_forzium(of: Any, returned: list[Any]) -> Callable[[], bytes]:
    """Answers with the last of `returned`."""
    app = forzium.FastAPI()

    @app.get("/", response_model=of)
    async def endpoint():
        return returned[-1]

    def work() -> bytes:
        sent: list[bytes] = []

        async def receive() -> Any:
            raise AssertionError("nothing is received")

        async def send(message: Any) -> None:
            sent.append(message.get("body", b""))

        finished(app(Request("/").asgi_scope(), receive, send))
        return b"".join(sent)

    return work


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_a_response_model_gives_what_fastapi_gives(seed: int):
    rng = Random(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            of = annotation(rng, 3)
            ModelField(field_info=FieldInfo(annotation=of), name="response", mode="serialization")
    except Exception:
        return  # a default factory that pydantic does not take, for instance
    returned: list[Any] = []
    ours = by_forzium(of, returned)
    for _ in range(12):
        returned.append(value(rng, of))
        assert seen(ours) == seen(by_fastapi(of, returned[-1])), (of, returned[-1])
