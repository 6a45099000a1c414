"""Endpoints that yield: raw chunks, JSON lines and server-sent events as from FastAPI."""

import functools
import importlib
import re
from collections.abc import AsyncIterable, Iterable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from conformance.harness import Framework, Request, compare, describe, exchange, frameworks


class Item(BaseModel):
    name: str
    price: float | None = None


def ways(fw: Framework) -> dict[str, dict[str, Any]]:
    """The route options of each kind of stream."""
    return {
        "sse": {"response_class": fw.responses.EventSourceResponse},
        "lines": {},
        "raw": {"response_class": fw.responses.StreamingResponse},
    }


def application(fw: Framework) -> Any:
    app = fw.FastAPI()

    def set_response(response: fw.Response) -> None:  # type: ignore[name-defined]
        response.status_code = 202
        response.headers["x-dependency"] = "1"
        response.set_cookie("a", "b")

    def closing() -> Any:
        yield "resource"
        closed.append("resource")

    closed: list[str] = []

    async def models() -> Any:
        yield Item(name="a", price=float("inf"))
        yield Item(name="b")

    def sync_models() -> Any:
        yield Item(name="a", price=float("nan"))
        yield {"name": "b", "price": 1}

    async def typed() -> AsyncIterable[Item]:
        yield {"name": "a", "extra": 1}  # type: ignore[misc]
        yield Item(name="b", price=float("-inf"))

    def sync_typed() -> Iterable[Item]:
        yield Item(name="a")

    async def values() -> Any:
        for value in (None, 1, "a\nb", "é", [1.5, float("nan")], {1: float("inf"), "nan": [{}]}, b"x", {3}):
            yield value

    async def nothing() -> Any:
        for value in ():
            yield value

    for way, options in ways(fw).items():
        if way != "raw":
            for endpoint in (models, sync_models, typed, sync_typed, values, nothing):
                app.get(f"/{way}/{endpoint.__name__}", **options)(endpoint)
            app.get(f"/{way}/unset", response_model_exclude_unset=True, **options)(typed)
            app.get(f"/{way}/by-option", response_model_include={"name"}, **options)(sync_typed)
        app.get(f"/{way}/nothing-created", status_code=201, **options)(nothing)

        @app.get(f"/{way}/dependencies", dependencies=[fw.Depends(set_response)], status_code=201, **options)
        async def with_dependencies(
            tasks: fw.BackgroundTasks,
            resource: fw.Annotated[str, fw.Depends(closing)],  # type: ignore[name-defined]
        ) -> AsyncIterable[str]:
            tasks.add_task(closed.append, "task")
            yield resource
            yield f"{closed}"

    @app.get("/raw/async", response_class=fw.responses.StreamingResponse)
    async def chunks() -> Any:
        yield "é"
        yield b"bytes"

    @app.get("/raw/sync", response_class=fw.responses.StreamingResponse)
    def sync_chunks() -> Any:
        yield "é"
        yield memoryview(b"view")

    class Numbered(fw.responses.StreamingResponse):  # type: ignore[name-defined,misc]
        media_type = "text/x"

    app.get("/raw/own-class", response_class=Numbered)(chunks)

    @app.post("/sse/events", response_class=fw.responses.EventSourceResponse)
    async def events() -> Any:
        yield fw.sse.ServerSentEvent(data={"a": float("nan")}, event="x", id="1", retry=3, comment="hi\nho")
        yield fw.sse.ServerSentEvent(raw_data="a\r\nb")
        yield fw.sse.ServerSentEvent(data=Item(name="x", price=float("inf")))
        yield fw.sse.ServerSentEvent(data=["é"], id="")
        yield fw.sse.ServerSentEvent(comment="")

    return app


def test_what_is_yielded_is_sent_as_by_fastapi() -> None:
    endpoints = ("models", "sync_models", "typed", "sync_typed", "values", "nothing", "unset", "by-option")
    targets = [f"/{way}/{endpoint}" for way in ("sse", "lines") for endpoint in endpoints]
    targets += [
        f"/{way}/{endpoint}" for way in ("sse", "lines", "raw") for endpoint in ("nothing-created", "dependencies")
    ]
    targets += ["/raw/async", "/raw/sync", "/raw/own-class"]
    requests = [Request(target) for target in targets]
    compare(application, *requests, Request("/sse/events", "POST"))


@pytest.mark.parametrize("way", ["sse", "lines", "raw"])
@pytest.mark.parametrize("moment", [0, 1])
def test_an_error_in_the_middle_comes_out_as_from_fastapi(way: str, moment: int) -> None:
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()

        @app.get("/async", **ways(fw)[way])
        async def async_endpoint() -> Any:
            if moment:
                yield "before"
                await anyio.sleep(0.01)  # FastAPI loses an event that is followed by an error at once
            raise LookupError("in the generator")
            yield

        @app.get("/typed", **ways(fw)[way])
        async def typed() -> AsyncIterable[int]:
            if moment:
                yield 1
                await anyio.sleep(0.01)
            yield "no number"  # type: ignore[misc]

        @app.get("/sync", **ways(fw)[way])
        def sync_endpoint() -> Any:
            if moment:
                yield "before"
            raise LookupError("in the generator")

        return app

    targets = ["/async", "/typed"] if way != "raw" else ["/async"]
    outcomes = compare(build, *map(Request, targets), openapi=False)
    assert all(outcome.raised for outcome in outcomes)
    if not (way == "sse" and moment):
        compare(build, Request("/sync"), openapi=False)


def test_silence_is_filled_with_comments_as_by_fastapi(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(fw: Framework) -> Any:
        monkeypatch.setattr(importlib.import_module(f"{fw.name}.routing"), "_PING_INTERVAL", 0.05)
        app = fw.FastAPI()

        @app.get("/", response_class=fw.responses.EventSourceResponse)
        async def slow() -> Any:
            yield 1
            await anyio.sleep(0.12)
            yield 2

        return app

    for fw in frameworks():
        outcome = exchange(build(fw), Request("/"))
        # How many there are, two or more, is the machine's business.
        assert re.fullmatch(rb"data: 1\n\n(: ping\n\n)+data: 2\n\n", outcome.body), fw.name


line = st.text("ab\r\n\v\u2028 :", max_size=5)


@given(st.none() | line, st.none() | line, st.none() | line, st.none() | st.integers(), st.none() | line)
def test_any_event_is_written_as_by_fastapi(data: Any, event: Any, id: Any, retry: Any, comment: Any) -> None:
    theirs, ours = (
        fw.sse.format_sse_event(data_str=data, event=event, id=id, retry=retry, comment=comment) for fw in frameworks()
    )
    assert ours == theirs


@given(
    st.dictionaries(
        st.sampled_from(["data", "raw_data", "event", "id", "retry", "comment", "other"]),
        st.none() | st.text("ab\r\n\0", max_size=3) | st.integers(-2, 2) | st.floats(-1, 2),
    )
)
def test_any_event_is_valid_or_not_as_with_fastapi(fields: dict[str, Any]) -> None:
    outcomes: list[Any] = []
    for fw in frameworks():
        try:
            outcomes.append(fw.sse.ServerSentEvent(**fields).model_dump())
        except ValidationError as error:
            outcomes.append(error.errors(include_context=False))
    assert outcomes[0] == outcomes[1]


def test_the_constants_are_fastapis() -> None:
    theirs, ours = ((fw.sse.KEEPALIVE_COMMENT, fw.sse._PING_INTERVAL, fw.sse._SSE_EVENT_SCHEMA) for fw in frameworks())
    assert ours == theirs


def test_what_a_plain_function_returns_is_sent_as_events_as_by_fastapi() -> None:
    class Countdown:
        def __iter__(self) -> Any:
            return iter((3, 2, 1))

    returned: dict[str, Any] = {
        "list": lambda: [Item(name="a"), {"name": "b\r\n"}, None],
        "generator": lambda: (number for number in (1, float("nan"))),
        "iterable": Countdown,
        "text": lambda: "ab",
        "dict": lambda: {"a": 1},
        "model": lambda: Item(name="a"),
        "nothing": lambda: None,
        "number": lambda: 5,
    }

    def build(fw: Framework) -> Any:
        app = fw.FastAPI()
        event_source = fw.responses.EventSourceResponse

        def endpoint(function: Any) -> Any:
            def returns(response: fw.Response, tasks: fw.BackgroundTasks) -> Any:  # type: ignore[name-defined]
                response.headers["x-injected"] = "1"
                response.status_code = 202
                tasks.add_task(lambda: None)
                return function()

            return returns

        def annotated(function: Any) -> Any:
            def returns() -> Iterable[Item]:
                return function()  # type: ignore[no-any-return]

            return returns

        for name, function in returned.items():
            app.get(f"/{name}", response_class=event_source)(endpoint(function))
            app.get(f"/{name}/annotated", response_class=event_source)(annotated(function))

        @app.get("/events", response_class=event_source)
        def events() -> Any:
            return [fw.sse.ServerSentEvent(data=1, id="1", comment="a\r\nb"), fw.sse.ServerSentEvent(raw_data="x\ry")]

        return app

    requests = [Request(f"/{name}{more}") for name in returned for more in ("", "/annotated")]
    compare(build, *requests, Request("/events"))


def test_too_large_a_body_that_a_stream_does_not_read_ends_it_as_in_fastapi() -> None:
    seen: list[list[str]] = []

    def build(fw: Framework) -> Any:
        app = fw.FastAPI(max_body_size=3)
        said: list[str] = []
        seen.append(said)

        async def noting() -> Any:
            try:
                yield
            except Exception as error:
                said.extend(describe(error))
                raise

        needs = {"dependencies": [fw.Depends(noting)]}

        @app.api_route("/iterator", methods=["GET", "POST"], **needs)
        async def iterator() -> Any:
            return fw.responses.StreamingResponse(iter([b"a"]))

        for way, options in ways(fw).items():

            @app.post(f"/{way}", **needs, **options)
            async def waiting() -> Any:
                await anyio.sleep(0.01)
                yield b"a"

        return app

    # Announced, the listening fails before the stream, which fails too; not announced, while the stream waits.
    requests = [
        Request(f"/{way}", "POST", chunks=chunks, headers=headers)
        for way in ("iterator", "sse", "lines", "raw")
        for chunks, headers in [((b"1234",), (("content-length", "4"),)), ((b"12", b"34"), ()), ((b"12", b"3"), ())]
    ]
    requests.append(Request("/iterator", chunks=(b"1234",), headers=(("transfer-encoding", "chunked"),)))
    compare(build, *requests, openapi=False)
    oracle, ours = seen
    assert ours == oracle
    assert sum("(2 sub-exceptions)" in line for line in ours) == 8  # four ways on two event loops


def test_what_cannot_be_iterated_is_an_error_of_the_stream_as_in_fastapi() -> None:
    def build(fw: Framework) -> Any:
        def returning(function: Any) -> Any:
            @functools.wraps(function)
            def wrapper() -> Any:
                return 3

            return wrapper

        app = fw.FastAPI()

        @app.get("/")
        @returning
        def endpoint() -> Any:
            yield 1

        return app

    assert compare(build, Request("/"))[0].status == 200


def test_a_stream_that_a_middleware_replaces_ends_without_cancelling_the_request() -> None:
    def answer(fw: Framework) -> Any:
        app = fw.FastAPI()

        @app.put("/")
        async def endpoint() -> Any:
            return fw.responses.StreamingResponse(iter([b"one", b"two", b"three"]))

        @app.middleware("http")
        async def replace(request: Any, call_next: Any) -> Any:
            await call_next(request)
            return fw.responses.JSONResponse({"instead": True})

        request = Request("/", "PUT", chunks=(b"first", b"second"))
        incoming, sent = list(request.messages()), []

        async def receive() -> Any:
            await anyio.sleep(0)
            return incoming.pop(0) if incoming else await anyio.sleep_forever()

        async def send(message: Any) -> None:
            await anyio.sleep(0)
            sent.append(message)

        anyio.run(app, request.asgi_scope(), receive, send)
        return sent

    theirs, ours = (answer(fw) for fw in frameworks())
    assert ours == theirs


@pytest.mark.parametrize("handled", [False, True])
@pytest.mark.parametrize("begins", ["fails", "waits", "fails in a thread"])
def test_behind_a_middleware_events_that_fail_at_once_are_answered_as_an_error(begins: str, handled: bool) -> None:
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()

        async def events() -> Any:
            if begins == "waits":
                await anyio.sleep(0.01)
            raise ValueError("no events")
            yield

        def events_in_a_thread() -> Any:
            raise ValueError("no events")
            yield

        endpoint = events_in_a_thread if begins == "fails in a thread" else events
        app.get("/", response_class=fw.responses.EventSourceResponse)(endpoint)

        @app.middleware("http")
        async def around(request: Any, call_next: Any) -> Any:
            response = await call_next(request)
            response.headers["x-around"] = "1"
            return response

        if handled:

            @app.exception_handler(Exception)
            async def handle(request: Any, error: Exception) -> Any:
                return fw.responses.PlainTextResponse(type(error).__name__, 418)

        return app

    at_once = 418 if handled else 500
    for backend in ("asyncio", "trio"):
        theirs, ours = (exchange(build(fw), Request("/"), backend=backend) for fw in frameworks())
        assert (ours.status, ours.headers, ours.body) == (theirs.status, theirs.headers, theirs.body)
        assert ours.raised[:2] == theirs.raised[:2]
        assert ours.status == (at_once if begins == "fails" else 200)
