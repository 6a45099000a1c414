"""forzium.json writes as the standard library's json does; where it must not, docs/reference/json.md says so."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import json
import math
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import pydantic
import pydantic_core
import pytest

from forzium import json as fast

from .json_oracle import standard

DEEP = 100_000


class Word(str):
    def __str__(self) -> str:
        return "not the text"


class Count(int):
    def __repr__(self) -> str:
        return "not the number"

    __str__ = __repr__


class Ratio(float):
    def __repr__(self) -> str:
        return "not the number"


class Colour(str, enum.Enum):  # noqa: UP042 - both spellings are in use
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: float


class Reversed(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        return reversed(list(super().__iter__()))


class Renamed(dict[Any, Any]):
    def items(self) -> Any:
        return [("other", 1), (2, [])]


PLAIN: list[Any] = [
    None, True, False, 0, -1, 2**30 - 1, 2**30, -(2**30), 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**30,
    10**18, 10**19, -(10**18), 99, 100, 999, 1000, 9999, 10000, 99999999, 100000000, 123456789012,
    0.0, -0.0, 1.5, 0.1, 1e15, 123456.789, -2.5, "", "a", "é", "漢", "😀", "\x00\x1f\"\\/\x7f\u2028", "x" * 5000, '"' * 5000,
    [], {}, (), [[], {}, ()], [1, [2, [3]]], {"a": {"b": [1, 2, {"c": None}]}}, (1, (2,)),
    {"": 0, "é": 1, '"': 2}, {0: 1, 2**70: 2, -5: 3, True: 4, None: 5, 1.5: 6, "s": 7}, {1: "a", "1": "b"},
    Word("text"), Count(5), Count(10**30), Ratio(2.5), Colour.RED, Level.HIGH, Point(1, 2.0), Reversed([1, 2]),
    Renamed(a=1), collections.OrderedDict(b=1, a=2), collections.defaultdict(list, {"k": [1]}), collections.Counter("aab"),
    {Word("key"): 1, Colour.RED: 2, Level.HIGH: 3, Count(7): 4, Ratio(0.5): 5},
    [Word("a"), {Count(1): [Point(1, 2.5), Reversed([[1], 2])]}],
]  # fmt: skip


@pytest.mark.parametrize("obj", PLAIN, ids=lambda obj: repr(obj)[:30])
def test_writing_gives_the_text_of_the_standard_library(obj: Any) -> None:
    assert fast.dumps(obj) == standard(obj)
    assert fast.dumps([obj, {"k": obj}]) == standard([obj, {"k": obj}])


@pytest.mark.parametrize(
    "value", [1e16, 1e22, 1e-5, 1e-7, 5e-324, 1.7976931348623157e308, 123456789012345680.0, 2.0**53, 1 / 3, 1e100]
)
def test_floats_are_spelled_as_pydantic_spells_them(value: float) -> None:
    assert fast.dumps([value, -value]) == pydantic_core.to_json([value, -value])
    assert fast.loads(fast.dumps(value)) == value


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9])
@pytest.mark.parametrize("stranger", [1, "x", None, [], [1], [0.5, 1], [[0.5]], (0.5,), {"a": [0.5]}, [0.5] * 9, 0.5])
def test_rows_of_floats_are_written_as_other_lists_are(stranger: Any, length: int) -> None:
    row = [at - 3.5 for at in range(length)]
    for count in (1, 2, 15, 16, 17, 33, 255, 256, 257):
        rows = [row] * count
        assert fast.dumps(rows) == standard(rows)
        for at in {0, 1, count // 2, count - 1, count}:
            mixed = [*rows[:at], stranger, *rows[at:]]
            assert fast.dumps(mixed) == standard(mixed)


WRONG: list[tuple[Any, type[Exception], str]] = [
    ({"a": [1, {"b c": object()}]}, TypeError, "Object of type object is not JSON serializable (at $.a[1]['b c'])"),
    ([[1, math.nan]], ValueError, "Out of range float values are not JSON compliant: nan (at $[0][1])"),
    ([[0.5]] * 20 + [[0.5, math.nan]], ValueError, "Out of range float values are not JSON compliant: nan (at $[20][1])"),
    ({"x": -math.inf}, ValueError, "Out of range float values are not JSON compliant: -inf (at $.x)"),
    (math.inf, ValueError, "Out of range float values are not JSON compliant: inf (at $)"),
    ({math.nan: 1}, ValueError, "Out of range float values are not JSON compliant: nan (at $[nan])"),
    ({"a": {(1, 2): 3}}, TypeError, "keys must be str, int, float, bool or None, not tuple (in $.a)"),
    ((1, {b"k": 3}), TypeError, "keys must be str, int, float, bool or None, not bytes (in $[1])"),
    (collections.OrderedDict(k=[Ratio("inf")]), ValueError, "Out of range float values are not JSON compliant: inf (at $.k[0])"),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "kind", "message"), WRONG, ids=lambda part: repr(part)[:30])
def test_errors_are_the_standard_librarys_types_and_name_the_path(
    obj: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as standard_error:
        standard(obj)
    with pytest.raises(kind) as error:
        fast.dumps(obj)
    assert type(error.value) is type(standard_error.value)
    assert str(error.value) == message


@pytest.mark.parametrize("obj", ["\ud800", ["ok", {"k": "a\udfff"}], {"\ud800": 1}, Word("\ud800")])
def test_lone_surrogates_are_refused_as_encoding_refuses_them(obj: Any) -> None:
    with pytest.raises(UnicodeEncodeError) as expected:
        standard(obj)
    with pytest.raises(UnicodeEncodeError) as error:
        fast.dumps(obj)
    assert error.value.encoding == expected.value.encoding
    assert error.value.reason.startswith(expected.value.reason + " (at $")


def cycles() -> Iterator[Any]:
    loop: list[Any] = [1]
    loop.append({"again": loop})
    yield loop
    mapping: dict[str, Any] = {}
    mapping["self"] = (mapping,)
    yield mapping
    odd: Any = collections.OrderedDict()
    odd["self"] = [odd]
    yield odd


@pytest.mark.parametrize("obj", list(cycles()), ids=["list", "dict", "subclass"])
def test_a_cycle_ends_in_an_error(obj: Any) -> None:
    with pytest.raises(ValueError, match="Circular reference detected"):
        fast.dumps(obj)


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"k": inner}, lambda inner: (inner,)])
def test_deep_containers_are_written_or_refused_never_a_crash(wrap: Any) -> None:
    obj: Any = 1
    for _ in range(900):
        obj = wrap(obj)
    assert fast.dumps(obj).count(b"1") == 1
    for _ in range(DEEP):
        obj = wrap(obj)
    with pytest.raises(RecursionError):
        fast.dumps(obj)


def test_the_hook_is_asked_as_the_standard_librarys_is() -> None:
    obj = {"when": datetime.date(2024, 1, 2), "set": {3}, "deep": [complex(1, 2), {"c": complex(3, 4)}]}

    def hook(value: Any) -> Any:
        if isinstance(value, complex):
            return [value.real, {"imag": value.imag}]
        return sorted(value) if isinstance(value, set) else str(value)

    assert fast.dumps(obj, default=hook) == standard(obj, default=hook)


def test_a_hook_that_goes_in_circles_ends_in_an_error() -> None:
    with pytest.raises(ValueError, match="Circular reference detected"):
        fast.dumps([object()], default=lambda value: value)
    with pytest.raises(RecursionError):
        fast.dumps([object()], default=lambda value: [object()])


def test_an_error_of_the_hook_passes_unchanged() -> None:
    error = LookupError("mine")

    def hook(value: Any) -> Any:
        raise error

    with pytest.raises(LookupError) as raised:
        fast.dumps({"a": [object()]}, default=hook)
    assert raised.value is error


class Item(pydantic.BaseModel):
    name: str = pydantic.Field(serialization_alias="title")
    price: Decimal = Decimal("1.50")
    at: datetime.datetime | None = None


@dataclasses.dataclass
class Pair:
    left: int
    right: uuid.UUID


KNOWN: list[Any] = [
    Item(name="a"), Pair(1, uuid.UUID(int=5)), datetime.datetime(2024, 1, 2, 3, 4, 5), datetime.timedelta(seconds=90),
    uuid.UUID(int=1), Decimal("1.10"), {1}, frozenset({"a"}), b"bytes", collections.deque([1, 2]), enum.Enum("E", "A").A,
]  # fmt: skip


@pytest.mark.parametrize("obj", KNOWN, ids=lambda obj: type(obj).__name__)
def test_what_pydantic_knows_is_written_by_pydantic(obj: Any) -> None:
    text = pydantic_core.to_json(obj, by_alias=True)
    assert fast.dumps(obj) == text
    assert fast.dumps({"a": [obj, 1], "b": obj}) == b'{"a":[' + text + b',1],"b":' + text + b"}"


def test_models_and_dataclasses_come_before_the_hook_and_all_else_after_it() -> None:
    obj = [Item(name="a"), Pair(1, uuid.UUID(int=5)), uuid.UUID(int=6)]
    written = fast.loads(fast.dumps(obj, default=lambda value: "hook"))
    assert written == [
        {"title": "a", "price": "1.50", "at": None},
        {"left": 1, "right": "00000000-0000-0000-0000-000000000005"},
        "hook",
    ]


def test_what_a_model_cannot_write_is_refused() -> None:
    class Holder(pydantic.BaseModel):
        anything: Any

    with pytest.raises(TypeError):
        fast.dumps(Holder(anything=object()))


@pytest.mark.parametrize("obj", [["\ud800", math.nan], {"a": ["\udfff"], "b": {(1,): 2}}, {"\ud800": object()}])
def test_whatever_else_is_wrong_comes_before_a_lone_surrogate(obj: Any) -> None:
    # json.dumps fails before there is a text to encode.
    with pytest.raises((TypeError, ValueError)) as expected:
        standard(obj)
    with pytest.raises(type(expected.value)) as error:
        fast.dumps(obj)
    assert type(error.value) is type(expected.value)


@pytest.mark.parametrize("fill", ["x", "é", "漢", '"', "\n", "é\n"])
def test_one_long_string_is_written_and_read_back(fill: str) -> None:
    obj = {"before": 1, "text": fill * 700_000, "after": [fill * 3]}
    assert fast.dumps(obj) == standard(obj)
    assert fast.loads(standard(obj)) == obj


def test_the_module_exports_what_it_says() -> None:
    assert fast.__all__ == ["JSONDecodeError", "dumps", "loads"]
    assert fast.JSONDecodeError is json.JSONDecodeError
    assert fast.dumps(1) == b"1"
    assert isinstance(fast.dumps([]), bytes)
