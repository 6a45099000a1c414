"""forzium.json held against the standard library on values and texts that nobody thought of."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pydantic_core
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forzium import json as fast

# Sizes around the blocks (16 bytes), keys (64), stack buffer (1024) and look-ahead of the reader and writer.
EDGES = [
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    9,
    15,
    16,
    17,
    31,
    32,
    33,
    47,
    48,
    49,
    63,
    64,
    65,
    127,
    128,
    129,
    1000,
    1021,
    1022,
    1023,
    1024,
    1025,
]

any_text = st.text(st.characters(exclude_categories=["Cs"])) | st.builds(
    lambda size, fill, at, odd: (fill * size)[:at] + odd + (fill * size)[at:],
    st.sampled_from(EDGES),
    st.sampled_from(["x", "é", "漢", "😀"]),
    st.integers(0, 1100),
    st.sampled_from(["", '"', "\\", "\n", "\x00", "\x1f", "\x7f", "\u2028", "é"]),
)
floats = st.floats(allow_nan=False, allow_infinity=False) | st.builds(
    lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0], st.integers(0, 2**64 - 1)
).filter(math.isfinite)
integers = st.integers() | st.builds(
    lambda power, add, sign: sign * (2**power + add), st.integers(0, 130), st.integers(-2, 2), st.sampled_from([-1, 1])
)
scalars = st.none() | st.booleans() | integers | floats | any_text
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(any_text, inner, max_size=8),
    max_leaves=40,
)
keys = any_text | st.integers() | st.booleans() | st.none() | floats
writable = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=30,
)


def outcome(read: Any, text: Any) -> tuple[Any, ...]:
    try:
        return ("value", repr(read(text)))
    except json.JSONDecodeError as error:
        return (type(error), error.msg, error.doc, error.pos, error.lineno, error.colno)
    except (ValueError, RecursionError) as error:
        return (type(error), str(error))


def standard(obj: Any) -> bytes:
    return json.dumps(obj, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


@given(values, st.booleans(), st.sampled_from([None, 0, 1, 7, 40]))
def test_every_value_is_read_as_the_standard_library_reads_it(value: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert outcome(fast.loads, text) == outcome(json.loads, text)
    assert outcome(fast.loads, text.encode()) == outcome(json.loads, text)


@given(writable)
def test_every_value_is_written_as_the_standard_library_writes_it(value: Any) -> None:
    written = fast.dumps(value)
    # Floats may be spelled in another way; read back, nothing differs.
    assert repr(json.loads(written)) == repr(json.loads(standard(value)))


@given(
    st.recursive(
        st.none() | st.booleans() | integers | any_text,
        lambda inner: st.lists(inner) | st.dictionaries(any_text, inner),
    )
)
def test_without_floats_the_bytes_are_the_same(value: Any) -> None:
    assert fast.dumps(value) == standard(value)


@given(floats)
@example(-0.0)
@example(5e-324)
@example(9007199254740993.0)
@example(2.2250738585072011e-308)
def test_floats_round_trip_and_are_spelled_as_pydantic_spells_them(value: float) -> None:
    written = fast.dumps(value)
    assert written == pydantic_core.to_json(value)
    assert repr(fast.loads(written)) == repr(value)
    assert repr(fast.loads(repr(value))) == repr(value)


digits = st.text("0123456789", min_size=1, max_size=60)


@given(
    st.sampled_from(["", "-"]),
    digits,
    st.none() | digits,
    st.none() | st.tuples(st.sampled_from(["e", "E-", "e+"]), digits),
)
def test_numbers_of_any_length_are_read_as_python_reads_them(
    sign: str, whole: str, fraction: str | None, exponent: tuple[str, str] | None
) -> None:
    text = sign + whole + ("" if fraction is None else "." + fraction) + ("" if exponent is None else "".join(exponent))
    without_zeros = sign + (whole.lstrip("0") or "0") + text[len(sign) + len(whole) :]
    for spelled in (text, without_zeros):
        assert outcome(fast.loads, spelled) == outcome(json.loads, spelled)


@given(
    values,
    st.lists(
        st.tuples(
            st.integers(0, 10_000),
            st.integers(0, 3),
            st.sampled_from(
                [
                    b"",
                    b",",
                    b'"',
                    b"]",
                    b"}",
                    b"\\",
                    b"\\u12",
                    b"\xff",
                    b"\xed\xa0\x80",
                    b"-",
                    b"0",
                    b"e9",
                    b" ",
                    b"\x00",
                    b"NaN",
                ]
            ),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_broken_texts_fail_as_they_fail_in_the_standard_library(
    value: Any, edits: list[tuple[int, int, bytes]]
) -> None:
    text = json.dumps(value, ensure_ascii=False).encode()
    for at, cut, insert in edits:
        at %= len(text) + 1
        text = text[:at] + insert + text[at + cut :]
    assert outcome(fast.loads, text) == outcome(json.loads, text)


@given(st.binary(max_size=60))
def test_any_bytes_are_answered_as_the_standard_library_answers(data: bytes) -> None:
    assert outcome(fast.loads, data) == outcome(json.loads, data)


@given(st.lists(st.sampled_from(list('[]{}:,"\\ntrue1e-. \t"u00dé')), max_size=40))
def test_any_jumble_of_json_characters_is_answered_as_the_standard_library_answers(parts: list[str]) -> None:
    text = "".join(parts)
    assert outcome(fast.loads, text) == outcome(json.loads, text)


@given(
    st.lists(st.dictionaries(st.sampled_from([f"key{n}" for n in range(12)]), scalars, max_size=12), max_size=12),
    st.integers(1, 4),
)
def test_rows_that_share_their_keys_are_read_each_as_itself(rows: list[dict[str, Any]], times: int) -> None:
    text = json.dumps(rows * times)
    for _ in range(3):
        assert repr(fast.loads(text)) == repr(json.loads(text))


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 6), max_size=7), scalars, st.booleans()), max_size=8),
    st.sampled_from([('"k%d":', ","), ('"k%d": ', ",\n  "), ('"k%d" :', " ,"), ('"\\u006b%d":', ",")]),
)
def test_objects_that_leave_the_expected_keys_anywhere_are_read_each_as_itself(
    rows: list[tuple[list[int], Any, bool]], spelling: tuple[str, str]
) -> None:
    full = [0, 1, 2, 3, 4, 5]
    before = [(full, 0, False)] * 3
    key, comma = spelling

    def written(keys: list[int], value: Any, nests: bool, spelled: str) -> str:
        inner = json.dumps(value)
        if nests:
            inner = "{" + ",".join(f'"k{at}":{inner}' for at in keys) + "}"
        return "{" + comma.join(spelled % at + inner for at in keys) + "}"

    texts = [written(*row, '"k%d":') for row in before]
    for keys, value, nests in rows:
        # Every start of the expected keys, and then others, some of them twice.
        for length in range(0, 7, 2):
            texts += [written(full[:length] + keys, value, nests, key), texts[0]]
    text = f"[{','.join(texts)}]"
    for _ in range(2):
        assert outcome(fast.loads, text) == outcome(json.loads, text)


@given(st.text(st.characters(), max_size=30))
def test_surrogates_are_read_as_they_are_and_never_written(text: str) -> None:
    escaped = json.dumps(text)
    assert fast.loads(escaped) == json.loads(escaped)
    try:
        expected = standard(text)
    except UnicodeEncodeError:
        with pytest.raises(UnicodeEncodeError):
            fast.dumps(text)
    else:
        assert fast.dumps(text) == expected
