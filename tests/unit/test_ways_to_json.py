"""Which way each kind of return value takes to JSON: every value is written once, by pydantic or by the JSON codec.

The plan says who is to write, and a profiler says who did: the Python functions and the calls of pydantic's serializer from
Python between the endpoint and the first message. Of the calls from Rust only that of pydantic's validator is seen, for a
function is put before it here; the others cost nothing of what these tests guard.
"""

import dataclasses
import datetime
import decimal
import sys
import uuid
from collections.abc import Callable
from types import FrameType
from typing import Any, Generic, TypeVar

import anyio
import pytest
import typing_extensions
from conformance.harness import Request
from pydantic import BaseModel

import forzium
from forzium._compile import plans
from forzium.responses import HTMLResponse

T = TypeVar("T")


class Item(BaseModel):
    name: str = "a"
    price: float | None = None


class Mine(Item):
    """What another class adds is not written."""

    mine: int = 1


class Page(BaseModel, Generic[T]):
    items: list[T]


class Keys(typing_extensions.TypedDict):
    name: str


@dataclasses.dataclass
class Record:
    name: str = "a"


def written(returned: Callable[[], Any], **options: Any) -> tuple[str | None, list[str], bytes]:
    """Who writes according to the plan, the functions that ran in Python for it, and the body."""
    app = forzium.FastAPI()

    def watched(operation: Any, answer_spec: Any = plans.answer_spec) -> Any:
        spec = answer_spec(operation)
        if (validate := spec.validate) is not None:

            def validated(value: Any, **options: Any) -> Any:
                return validate(value, **options)

            spec.validate = validated
        return spec

    @app.get("/", **options)
    async def endpoint():
        value = returned()
        sys.setprofile(note)
        return value

    ran: list[str] = []
    body = b""

    def note(frame: FrameType, event: str, called: Any) -> None:
        if event == "call" and frame.f_code.co_name != "__instancecheck__":  # pydantic's validation asks the class
            ran.append(frame.f_code.co_name)
        elif event == "c_call" and called.__name__ in ("to_json", "to_python", "dumps", "encode"):
            ran.append(called.__name__)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    def send(message: Any) -> Any:
        sys.setprofile(None)
        nonlocal body
        body += message.get("body", b"")
        return anyio.lowlevel.checkpoint()

    async def serve() -> None:
        await app(Request("/").asgi_scope(), receive, send)

    monkeypatch = pytest.MonkeyPatch()
    try:
        monkeypatch.setattr(plans, "answer_spec", watched)
        anyio.run(serve)  # once for what is imported late
        ran.clear()
        body = b""
        anyio.run(serve)
    finally:
        sys.setprofile(None)
        monkeypatch.undo()
    assert ran.pop() == "send"
    (stage,) = [stage for stage in forzium.explain(app, "GET", "/").stages if stage["stage"] == "serialize"]
    return stage["written by"], ran, body


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ({"a": [1, {"b": None}], "c": "é"}, '{"a":[1,{"b":null}],"c":"é"}'),
        ([{"a": 1.5}, (True, "x")], '[{"a":1.5},[true,"x"]]'),
        ("text", '"text"'),
        (5, "5"),
        (None, "null"),
    ],
)
def test_plain_data_is_written_by_the_codec_alone(value: Any, body: str):
    assert written(lambda: value) == ("forzium.json", [], body.encode())


@pytest.mark.parametrize(
    ("model", "value", "options", "body"),
    [
        (Item, Item(), {"response_model_exclude_none": True}, '{"name":"a"}'),
        (Item, Item(price=1), {"response_model_include": {"price"}}, '{"price":1.0}'),
        (Item, Item(), {"response_model_exclude_unset": True, "response_model_exclude": {"price"}}, "{}"),
        (Item | int, 3, {}, "3"),
        (Keys, {"name": "a"}, {}, '{"name":"a"}'),
        (Record, Record(), {}, '{"name":"a"}'),
        (decimal.Decimal, decimal.Decimal("1.50"), {}, '"1.50"'),
    ],
)
def test_what_has_a_response_model_is_written_by_pydantic_straight_to_bytes(
    model: Any, value: Any, options: dict[str, Any], body: str
):
    assert written(lambda: value, response_model=model, **options) == ("pydantic", ["validated"], body.encode())


ITEMS = '[{"name":"a","price":null},{"name":"b","price":1.0}]'


@pytest.mark.parametrize(
    ("model", "value", "body"),
    [
        (Item, Item(), '{"name":"a","price":null}'),
        (Item, {"name": "b"}, '{"name":"b","price":null}'),
        (list[Item], [Item(), {"name": "b", "price": 1}], ITEMS),
        (Page[Item], {"items": [Item(), {"price": 1.0, "more": 1, "name": "b"}]}, '{"items":%s}' % ITEMS),
        (Page[Item], Page[Item](items=[Item(), Item(name="b", price=1)]), '{"items":%s}' % ITEMS),
        (dict[str, datetime.date], {"a": datetime.date(2020, 1, 1)}, '{"a":"2020-01-01"}'),
        (Any, {"a": [1, 2.5, None, True]}, '{"a":[1,2.5,null,true]}'),
    ],
)
def test_what_keeps_within_the_outline_of_a_response_model_is_neither_validated_nor_written_by_pydantic(
    model: Any, value: Any, body: str
):
    by = "forzium.json, else pydantic"
    assert written(lambda: value, response_model=model) == (by, [], body.encode())


@pytest.mark.parametrize(
    ("model", "value", "body"),
    [
        (Item, {"name": "b", "price": "1"}, '{"name":"b","price":1.0}'),
        (list[Item], (Item(), Item(name="b", price=1)), ITEMS),
        (list[Item], [Item(), Mine(name="b", price=1)], ITEMS),
        (Page[Item], Page(items=[Item(), Item(name="b", price=1)]), '{"items":%s}' % ITEMS),
        (Any, {"a": Item()}, '{"a":{"name":"a","price":null}}'),
    ],
)
def test_what_does_not_is_all_pydantics(model: Any, value: Any, body: str):
    by = "forzium.json, else pydantic"
    assert written(lambda: value, response_model=model) == (by, ["validated"], body.encode())


def test_a_model_without_a_response_model_is_written_by_pydantic_where_it_stands():
    by, ran, body = written(lambda: {"items": [Item(), Item(name="b")], "n": 1})
    assert by == "forzium.json"
    encoders = {"json_part", "jsonable_encoder", "to_json", "to_python", "dumps", "model_dump"}
    assert [name for name in ran if name in encoders] == ["json_part", "to_json"] * 2
    assert body == b'{"items":[{"name":"a","price":null},{"name":"b","price":null}],"n":1}'


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (datetime.datetime(2020, 1, 1), '"2020-01-01T00:00:00"'),
        (decimal.Decimal("1.50"), "1.5"),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Record(), '{"name":"a"}'),
        ({1}, "[1]"),
    ],
)
def test_only_what_json_has_no_form_for_goes_through_the_encoder(value: Any, body: str):
    by, ran, text = written(lambda: {"plain": [{"a": 1}] * 10, "value": value})
    assert by == "forzium.json"
    assert ran.count("json_part") == ran.count("jsonable_encoder") == 1
    assert not {"to_json", "to_python", "dumps", "model_dump"} & set(ran)
    assert text.endswith(b'"value":%s}' % body.encode())


def test_a_class_of_ones_own_gets_the_value_as_the_encoder_gives_it():
    by, ran, body = written(lambda: "<b>", response_class=HTMLResponse)
    assert by == "HTMLResponse"
    assert "jsonable_encoder" in ran
    assert body == b"<b>"
