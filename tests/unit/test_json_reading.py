"""forzium.json reads as the standard library's json does; where it must not, docs/reference/json.md says so."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from forzium import json as fast

from .json_oracle import identical, outcome, standard

DEEP = 100_000

SUITE = Path(__file__).parent / "JSONTestSuite.tar.gz"
"""Nicolas Seriot's cases (MIT, github.com/nst/JSONTestSuite): `y_` is JSON, `n_` is none, `i_` is the reader's choice."""


def reads_alike(text: Any) -> None:
    expected = outcome(json.loads, text)
    assert identical(outcome(fast.loads, text), expected), (text, expected)


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


def test_the_cases_of_the_json_test_suite_are_answered_as_the_standard_library_answers() -> None:
    names = []
    with tarfile.open(SUITE) as cases:
        for case in cases:
            file = cases.extractfile(case)
            if file is None:
                continue
            text, name = file.read(), Path(case.name).name
            for form in (text, memoryview(text), text.decode("latin-1")):
                given = bytes(form) if isinstance(form, memoryview) else form
                expected, got = outcome(json.loads, given), outcome(fast.loads, form)
                if expected[0] is RecursionError:
                    assert got[0] is RecursionError, name
                    continue
                # Some are nested too deeply to be compared but by their text.
                assert repr(got) == repr(expected), name
            assert not name.startswith("y_") or outcome(fast.loads, text)[0] == "value", name
            names.append(name)
    assert len(names) == 340


@pytest.mark.parametrize("step", [2, -1, 3])
def test_a_view_of_scattered_bytes_is_read_as_its_bytes(step: int) -> None:
    text = b'{"a":[1,2.5,"x"]}'
    spread = bytearray(len(text) * abs(step))
    view = memoryview(spread)[::step]
    view[:] = text + b" " * (len(view) - len(text))
    assert not view.contiguous
    assert fast.loads(view) == json.loads(text)
    view[0] = ord("[")
    assert identical(outcome(fast.loads, view), outcome(json.loads, bytes(view)))
