"""`jsonable_encoder` gives the same objects, or raises the same."""

import dataclasses
import datetime
import decimal
import enum
import ipaddress
import pathlib
import re
import uuid
from collections import OrderedDict, defaultdict, deque
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.harness import Framework
from conformance.signatures import both


class Level(enum.IntEnum):
    low = 1


class Name(enum.StrEnum):
    a = "a"


class Inner(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    when: datetime.datetime | None = None
    _hidden: int = 3


class Outer(pydantic.BaseModel):
    inner: Inner = pydantic.Field(default_factory=Inner, alias="theInner")
    items: list[Any] = []
    nothing: None = None
    price: decimal.Decimal = decimal.Decimal("1.50")


@dataclasses.dataclass
class Pair:
    left: Any
    right: Any = None
    _sa_state: int = 1


class Attributes:
    def __init__(self) -> None:
        self.a, self._sa_b, self.c = 1, 2, None


class Items:
    def keys(self) -> list[str]:
        return ["k", "n"]

    def __getitem__(self, key: str) -> Any:
        return {"k": datetime.date(2020, 1, 2), "n": None}[key]


class Text(str):
    pass


class Moment(datetime.datetime):
    pass


class Broken:
    __slots__ = ()


LEAVES: list[Any] = [
    *(None, True, 1, -0.0, float("inf"), "é\ud800", b"bytes", Text("t"), Level.low, Name.a),
    *(datetime.date(2020, 1, 2), datetime.datetime(2020, 1, 2, 3), datetime.time(1), Moment(2020, 1, 1)),
    *(
        datetime.timedelta(days=1, microseconds=3),
        decimal.Decimal("1"),
        decimal.Decimal("1.10"),
        decimal.Decimal("1e5"),
    ),
    *(decimal.Decimal("NaN"), decimal.Decimal("-Infinity"), decimal.Decimal("-0"), decimal.Decimal("1e-400")),
    *(
        uuid.UUID(int=5),
        pathlib.Path("/a"),
        pathlib.PureWindowsPath("a\\b"),
        re.compile("a+"),
        ipaddress.ip_address("::1"),
    ),
    *(ipaddress.ip_network("10.0.0.0/8"), pydantic.SecretStr("s"), pydantic.SecretBytes(b"s"), Pair(1, None)),
    *(pydantic.AnyUrl("http://a/b"), pydantic.HttpUrl("http://h"), Attributes(), Items(), Outer(), Inner(), Pair),
    *(
        Outer(theInner=Inner(when=datetime.datetime(2021, 1, 1), extra=[1, None])),
        b"\xff",
        object(),
        Broken(),
        int,
        len,
    ),
    *(pydantic.fields.FieldInfo(default=3).default, pydantic.fields.PydanticUndefined, Exception("e"), range(3)),
    *(pydantic.TypeAdapter(pydantic.NameEmail).validate_python("a <a@example.com>"), bytearray(b"x"), 1j, ...),
]
KEYS = ["a", "_sa_b", "c", "left", "items", "inner", "theInner", 1, None, (1, 2), Level.low]

values = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(deque),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=2).map(OrderedDict),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=2).map(lambda d: defaultdict(int, d)),
        st.builds(Pair, inner, inner),
        st.builds(lambda item: Outer(items=[item]), inner),
    ),
    max_leaves=6,
)
names = (
    st.none() | st.lists(st.sampled_from(KEYS[:7]), max_size=3) | st.just({"left": ..., "items": {0}}) | st.just({"a"})
)
options = st.fixed_dictionaries(
    {},
    optional={
        "include": names,
        "exclude": names,
        **{name: st.booleans() for name in ("by_alias", "exclude_unset", "exclude_defaults", "exclude_none")},
        "sqlalchemy_safe": st.booleans(),
        "custom_encoder": st.sampled_from([{}, {str: str.upper}, {datetime.date: lambda value: "date"}, {Pair: repr}]),
    },
)


@given(values, options)
def test_random_objects_are_encoded_alike(value: Any, given_options: dict[str, Any]) -> None:
    oracle, ours = both(lambda fw: repr(fw.encoders.jsonable_encoder(value, **given_options)))
    assert ours == oracle


def test_generators_and_sets_become_lists() -> None:
    oracle, ours = both(lambda fw: fw.encoders.jsonable_encoder([(i for i in "ab"), {1}, frozenset("x")]))
    assert ours == oracle


def test_a_class_can_be_taught() -> None:
    class Money:
        pass

    def encode(fw: Framework) -> Any:
        fw.encoders.ENCODERS_BY_TYPE[Money] = lambda value: "money"
        return fw.encoders.jsonable_encoder({"m": Money()})

    oracle, ours = both(encode)
    assert ours == oracle == {"m": "money"}


def test_the_table_of_encoders_knows_the_same_classes() -> None:
    oracle, ours = both(lambda fw: {f"{cls.__module__}.{cls.__name__}" for cls in fw.encoders.ENCODERS_BY_TYPE})
    assert {name for name in oracle if not name.startswith("fastapi")} == ours


@pytest.mark.filterwarnings("ignore")
def test_models_of_pydantic_1_are_refused() -> None:
    from pydantic import v1

    class Old(v1.BaseModel):
        a: int = 1

    both(lambda fw: fw.encoders.jsonable_encoder(Old()))
    both(lambda fw: fw.utils.create_model_field("f", list[Old]))
