"""forzium.json answers as the standard library's json does; where it must not, docs/reference/json.md says so."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import gc
import json
import math
import sys
import threading
import time
import tracemalloc
import uuid
import weakref
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import pydantic
import pydantic_core
import pytest

from forzium import json as fast

DEEP = 100_000


def outcome(read: Any, text: Any) -> tuple[Any, ...]:
    """What reading gives: the value, or everything that tells errors apart."""
    try:
        return ("value", read(text))
    except json.JSONDecodeError as error:
        return (type(error), error.msg, error.doc, error.pos, error.lineno, error.colno)
    except (ValueError, RecursionError, TypeError) as error:
        return (type(error), str(error))


def identical(one: Any, other: Any) -> bool:
    """Equal in value, type, order of keys, and sign of zero."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(identical(one[key], other[key]) for key in one)
    if isinstance(one, float):
        return repr(one) == repr(other)
    return bool(one == other)


def reads_alike(text: Any) -> None:
    expected = outcome(json.loads, text)
    assert identical(outcome(fast.loads, text), expected), (text, expected)


def standard(obj: Any, **options: Any) -> bytes:
    return json.dumps(obj, ensure_ascii=False, allow_nan=False, separators=(",", ":"), **options).encode()


# What a parser may get wrong, one case each; what is right is asked of the standard library.
TEXTS: list[bytes] = [
    # numbers
    *b"0|-0|-0.0|0.0|1|-1|10|9223372036854775807|9223372036854775808|18446744073709551615|18446744073709551616".split(
        b"|"
    ),
    *b"-9223372036854775808|-9223372036854775809|123456789012345678|1234567890123456789|100000000000000000000000".split(
        b"|"
    ),
    *b"1e5|1E5|1e+5|1e-5|1.5e300|1e308|1e309|-1e309|1e400|1e-400|5e-324|2e-324|0e99999|0.0e-99999|-0e1".split(b"|"),
    *b"2.2250738585072011e-308|1.7976931348623157e308|1.7976931348623159e308|9007199254740993.0|0.1|123.456".split(
        b"|"
    ),
    *b"01|-01|00|1.|.5|1.e5|1e|1e+|+1|--1|-|1.2.3|0x10|1_000|1e5.5|-a|0.e1|- 1|1 2".split(b"|"),
    b"0." + b"0" * 2000 + b"1e2001",
    b"0." + b"0" * 20000 + b"1e20001",
    b"1" + b"0" * 400 + b"e-400",
    b"1" * 4300,
    b"1" * 4301,
    b"[" + b"1" * 5000 + b"]",
    # literals
    *b"true|false|null|True|nul|nulll|truefalse|NaN|Infinity|-Infinity|-NaN|nan|tru|t|[NaN,Infinity]".split(b"|"),
    # strings
    rb'""',
    rb'"a"',
    rb'"\"\\\/\b\f\n\r\t"',
    rb'"\u0041\u00e9\u6f22\ud83d\ude00"',
    rb'"\ud800"',
    rb'"\udc00"',
    rb'"\ud800\ud800"',
    rb'"\ud800x"',
    rb'"\ud83d\u0041"',
    rb'"\u00e"',
    rb'"\u00eg"',
    rb'"\x41"',
    rb'"\a"',
    rb'"\u"',
    b'"\x00"',
    b'"a\x1fb"',
    b'"a\nb"',
    b'"a',
    b'"a\\',
    b'"a\\"',
    b'"\x7f"',
    '"é漢😀\u2028\u2029"'.encode(),
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"\xc0\x80"',
    b'"\xf4\x90\x80\x80"',
    b'"\xe6\xbc"',
    # containers
    *b"[]|{}|[[]]|[{}]|[1]|[1,2]|[1,]|[,1]|[1 2]|[,]|[|]|[]]|[1|{|}|{]|[}|{}}|[1}|[[1]".split(b"|"),
    *b'{"a":1}|{"a":1,}|{"a"}|{"a":}|{a:1}|{1:1}|{"a":1 "b":2}|{,}|{"a":1,"a":2}|{"":0}|{"a"::1}|{"a",1}|{"a":1'.split(
        b"|"
    ),
    b"{'a':1}",
    # space around and between
    b"",
    b" ",
    b"\n\n  \t\r 1 \n",
    b' [ 1 , 2 , { "a" : [ ] } ] ',
    b"\x0b1",
    b"1\x00",
    b"\xa01",
    "\u00a01".encode(),
    b"[1] x",
    b"1 // comment",
    b"[1]" + b" " * 100 + b"\n",
    b"\n" * 40 + b"[1,\n\n x]",
    # encodings
    b"\xef\xbb\xbf[1]",
    b"\xef\xbb\xbf",
    "[1]".encode("utf-16"),
    "[1]".encode("utf-16-le"),
    "[1]".encode("utf-16-be"),
    "[1]".encode("utf-32"),
    "1".encode("utf-16-le"),
    b"\xff\xfe",
    b"\x00",
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:24]))
def test_reading_gives_the_value_or_the_error_of_the_standard_library(text: bytes) -> None:
    reads_alike(text)
    reads_alike(bytearray(text))
    assert identical(outcome(fast.loads, memoryview(text)), outcome(json.loads, text))
    reads_alike(b" " * 13 + b"[" + text + b",\n" + text + b"]")
    reads_alike(b'{"key":' + text + b"}")
    reads_alike(text.decode("utf-8", "replace"))
    reads_alike(text.decode("latin-1"))


@pytest.mark.parametrize("text", ["\ufeff[1]", "\ud800", '"\ud800"', "[1] é x", '["é", x]', "", "é"])
def test_reading_text_counts_characters_not_bytes(text: str) -> None:
    reads_alike(text)


@pytest.mark.parametrize("other", [None, 1, [], object()])
def test_reading_refuses_what_is_no_text(other: Any) -> None:
    with pytest.raises(TypeError):
        fast.loads(other)


@pytest.mark.parametrize("size", [*range(12), *range(28, 36), *range(60, 70), 4094, 4095, 4096, 4097])
@pytest.mark.parametrize("fill", ["x", "é", "漢", "😀", "\x7f", "\\n"])
def test_strings_of_every_size_survive(size: int, fill: str) -> None:
    text = f'["{fill * size}",{{"{fill * size}":1}}]'
    reads_alike(text.encode())
    reads_alike(text.encode()[:-3])
    value = json.loads(text)
    assert fast.dumps(value) == standard(value)


@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
@pytest.mark.parametrize("depth", [1, 100, 255, 256, 257, 500, DEEP])
def test_deep_nesting_is_read_or_refused_as_the_standard_library_does(
    brackets: tuple[bytes, bytes], depth: int
) -> None:
    text = brackets[0] * depth + b"1" + brackets[1] * depth
    expected, got = outcome(json.loads, text), outcome(fast.loads, text)
    assert got[0] == expected[0]
    if expected[0] == "value":
        assert repr(got) == repr(expected)
    assert outcome(fast.loads, brackets[0] * depth)[0] is outcome(json.loads, brackets[0] * depth)[0]


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


WRONG: list[tuple[Any, type[Exception], str]] = [
    ({"a": [1, {"b c": object()}]}, TypeError, "Object of type object is not JSON serializable (at $.a[1]['b c'])"),
    ([[1, math.nan]], ValueError, "Out of range float values are not JSON compliant: nan (at $[0][1])"),
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


def test_the_result_is_new_and_its_containers_are_independent() -> None:
    text = b'[{"a":1,"b":[]},{"a":1,"b":[]},{"a":1,"b":[]},{"a":1,"b":[]}]'
    rows = fast.loads(text)
    rows[3]["b"].append(rows)
    rows[3]["c"] = 1
    del rows[2]["a"]
    assert rows[:2] == [{"a": 1, "b": []}] * 2
    assert fast.loads(text) == json.loads(text)


def test_objects_of_one_shape_are_watched_by_the_garbage_collector_if_they_hold_containers() -> None:
    class Mark:
        pass

    for _ in range(5):
        rows = fast.loads(b'[{"a":1,"b":[]},{"a":1,"b":[]}]')
    mark = Mark()
    gone = weakref.ref(mark)
    rows[1]["b"].append(rows[1])
    rows[1]["b"].append(mark)
    assert gc.is_tracked(rows[1])
    del rows, mark
    gc.collect()
    assert gone() is None


def test_reading_leaves_the_garbage_collector_as_it_was() -> None:
    text = json.dumps([[index] for index in range(5000)]).encode()
    for switch in (gc.disable, gc.enable):
        switch()
        for broken in (text, text[:-1]):
            outcome(fast.loads, broken)
            assert gc.isenabled() is (switch is gc.enable)


def test_references_and_memory_stay_flat() -> None:
    text = (
        b'{"id":1234567,"name":"a name","tags":["one","two","\\u00e9"],"rows":[{"a":1.5,"b":null},{"a":2.5,"b":true}]}'
    )
    broken = [text[:-1], text.replace(b"1.5", b"1.5.5"), b'{"a":[1,2,{"b":"c"', b'[{"a":1,"b":"\xff"}]', b"[[1,2],[3,4"]
    objects = [
        json.loads(text),
        {"k": [math.nan]},
        {"k": ["\ud800"]},
        [object(), 1],
        {"a": 1, (1,): 2},
        [Point(1, 2.0)],
    ]

    def work(times: int) -> None:
        for _ in range(times):
            for data in (text, *broken):
                outcome(fast.loads, data)
            for obj in objects:
                try:
                    fast.dumps(obj)
                except (TypeError, ValueError):
                    pass

    watched = [None, True, "name", *objects, *(objects[0].values())]
    work(50)
    gc.collect()
    before = [sys.getrefcount(obj) for obj in watched]
    tracemalloc.start()
    try:
        work(20)
        gc.collect()
        start, _ = tracemalloc.get_traced_memory()
        work(300)
        gc.collect()
        end, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    grown = [sys.getrefcount(obj) - count for obj, count in zip(watched, before, strict=True)]
    assert all(abs(by) < 40 for by in grown), grown
    assert end - start < 20_000


def test_other_threads_run_while_large_texts_are_read_and_written() -> None:
    rows = [
        {"id": index, "name": f"name {index}", "price": index * 1.25, "tags": ["a", "b"]} for index in range(60_000)
    ]
    text = fast.dumps(rows)
    done = threading.Event()
    turns = 0

    def count() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            time.sleep(0)

    def lets_others_run(work: Callable[[], object]) -> bool:
        # Whether the other thread is given a processor meanwhile is the system's to say; not every time is asked for.
        for _ in range(100):
            before = turns
            work()
            if turns > before:
                return True
        return False

    thread = threading.Thread(target=count)
    thread.start()
    try:
        assert lets_others_run(lambda: fast.loads(text))
        assert lets_others_run(lambda: fast.dumps(rows))
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_a_container_changed_by_another_thread_is_an_error_or_a_text_never_a_crash(kind: str) -> None:
    def fresh() -> Any:
        rows = [[index, {"k": [index]}] for index in range(20_000)]
        return rows if kind == "list" else {str(index): row for index, row in enumerate(rows)}

    obj = fresh()
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            obj.clear()
            obj.extend(fresh()) if kind == "list" else obj.update(fresh())

    thread = threading.Thread(target=change)
    thread.start()
    errors = []
    try:
        for _ in range(15):
            try:
                fast.loads(fast.dumps(obj))
            except RuntimeError as error:
                errors.append(str(error))
    finally:
        done.set()
        thread.join()
    assert all("changed size during iteration (at $" in error for error in errors)


def test_the_hook_may_change_what_is_being_written() -> None:
    rows: list[Any] = [object(), [1], [2]]

    def hook(value: Any) -> Any:
        rows.clear()
        gc.collect()
        return "gone"

    with pytest.raises(RuntimeError, match="list changed size"):
        fast.dumps([rows], default=hook)
    mapping: dict[str, Any] = {"a": object(), "b": [1]}

    def hook_mapping(value: Any) -> Any:
        mapping.clear()
        return "gone"

    with pytest.raises(RuntimeError, match="dictionary changed size"):
        fast.dumps([mapping], default=hook_mapping)


def test_the_module_exports_what_it_says() -> None:
    assert fast.__all__ == ["JSONDecodeError", "dumps", "loads"]
    assert fast.JSONDecodeError is json.JSONDecodeError
    assert fast.dumps(1) == b"1"
    assert isinstance(fast.dumps([]), bytes)
