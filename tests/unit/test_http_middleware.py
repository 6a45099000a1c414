"""What http middleware does better than Starlette's, and how it ends: both event loops, every way a response is sent."""

import contextlib
import contextvars
import gc
import inspect
import types
import weakref
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from forzium.background import BackgroundTask
from forzium.middleware.base import BaseHTTPMiddleware
from forzium.requests import Request
from forzium.responses import PlainTextResponse, StreamingResponse

var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")


def scope(**changes: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": {"spec_version": "2.3"}, **changes}


class Client:
    """A host that never disconnects and keeps what it is sent."""

    def __init__(self, on_send: Callable[[Any], Any] = lambda message: None) -> None:
        self.sent: list[Any] = []
        self.on_send = on_send

    async def receive(self) -> Any:
        await anyio.sleep_forever()

    async def send(self, message: Any) -> None:
        self.on_send(message)
        self.sent.append(message)

    async def call(self, app: Any) -> bytes:
        with anyio.fail_after(5):
            await app(scope(), self.receive, self.send)
        return b"".join(message.get("body", b"") for message in self.sent)


async def whole(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("a")(scope, receive, send)


async def bare_stream(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await send({"type": "http.response.body"})


async def task_group_stream(scope: Any, receive: Any, send: Any) -> None:
    async def chunks() -> Any:
        yield b"a"

    await StreamingResponse(chunks())(scope, receive, send)


async def stream_under_a_deadline(scope: Any, receive: Any, send: Any) -> None:
    with anyio.fail_after(5):
        await bare_stream(scope, receive, send)


async def whole_under_a_deadline(scope: Any, receive: Any, send: Any) -> None:
    with anyio.fail_after(5):
        await whole(scope, receive, send)


WAYS = [whole, bare_stream, task_group_stream, stream_under_a_deadline, whole_under_a_deadline]
ways = pytest.mark.parametrize("answer", WAYS)


@pytest.mark.anyio
@ways
async def test_context_variables_flow_in_and_out(answer: Any) -> None:
    seen: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(var.get())
        var.set("by the endpoint")
        await answer(scope, receive, send)
        var.set("after the response")

    async def dispatch(request: Any, call_next: Any) -> Any:
        var.set("by dispatch")
        response = await call_next(request)
        seen.append(var.get())
        return response

    async def outer() -> None:
        await Client().call(BaseHTTPMiddleware(BaseHTTPMiddleware(inner, dispatch), passing))
        seen.append(var.get())

    await outer()
    assert seen == ["by dispatch", "by the endpoint", "after the response"]


async def passing(request: Any, call_next: Any) -> Any:
    return await call_next(request)


@pytest.mark.anyio
@ways
async def test_a_variable_that_dispatch_resets_is_still_set_for_the_stream_and_background_tasks(answer: Any) -> None:
    seen: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await answer(scope, receive, send)
        seen.append(var.get())

    async def dispatch(request: Any, call_next: Any) -> Any:
        token = var.set("request 1")
        try:
            return await call_next(request)
        finally:
            var.reset(token)

    await Client().call(BaseHTTPMiddleware(inner, dispatch))
    assert seen == ["request 1"]
    assert var.get() == "unset"


@pytest.mark.anyio
async def test_an_init_of_requests_that_somebody_has_replaced_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    async def dispatch(request: Any, call_next: Any) -> Any:
        seen.append(dict(vars(request)))
        return await call_next(request)

    app = BaseHTTPMiddleware(whole, dispatch)
    assert await Client().call(app) == b"a"
    init = Request.__init__

    def marking(self: Any, *args: Any) -> None:
        init(self, *args)
        self.marked = True

    monkeypatch.setattr(Request, "__init__", marking)
    assert await Client().call(app) == b"a"
    assert [sorted(each) for each in seen] == [["_receive", "_send", "scope"], ["_receive", "_send", "marked", "scope"]]


@pytest.mark.anyio
async def test_a_response_of_dispatch_is_made_in_its_context_however_often_that_waits() -> None:
    async def pieces() -> Any:
        for _ in range(4):
            yield var.get()
            await anyio.lowlevel.checkpoint()

    async def dispatch(request: Any, call_next: Any) -> Any:
        await call_next(request)
        var.set("d")
        return StreamingResponse(pieces())

    assert await Client().call(BaseHTTPMiddleware(whole, dispatch)) == b"dddd"


@pytest.fixture
def asyncio_only(anyio_backend: str) -> None:
    if anyio_backend != "asyncio":
        pytest.skip("on trio the rest of the chain has a task of its own")


@pytest.mark.anyio
@pytest.mark.usefixtures("asyncio_only")
async def test_an_answer_in_one_piece_needs_neither_another_task_nor_a_turn_of_the_loop() -> None:
    from asyncio import current_task

    tasks = {current_task()}

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        tasks.add(current_task())
        await whole(scope, receive, send)
        tasks.add(current_task())
        scope["forzium.nothing_follows"] = True

    async def dispatch(request: Any, call_next: Any) -> Any:
        tasks.add(current_task())
        response = await call_next(request)
        tasks.add(current_task())
        request.scope["forzium.nothing_follows"] = True
        return response

    client = Client()
    step = BaseHTTPMiddleware(BaseHTTPMiddleware(inner, dispatch), dispatch)(scope(), client.receive, client.send)
    with pytest.raises(StopIteration):
        step.send(None)
    assert len(tasks) == 1
    assert [message.get("body") for message in client.sent] == [None, b"a", b""]


@pytest.mark.anyio
@ways
async def test_what_dispatch_raises_after_call_next_ends_the_rest(answer: Any) -> None:
    ended: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        try:
            await answer(scope, receive, send)
            await anyio.sleep_forever()
        finally:
            ended.append("inner")

    async def dispatch(request: Any, call_next: Any) -> Any:
        await call_next(request)
        raise LookupError("dispatch")

    with pytest.raises(LookupError, match="dispatch"):
        await Client().call(BaseHTTPMiddleware(inner, dispatch))
    assert ended == ["inner"]


@pytest.mark.anyio
@ways
async def test_a_failing_send_ends_the_rest(answer: Any) -> None:
    ended: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        try:
            await answer(scope, receive, send)
            await anyio.sleep_forever()
        finally:
            ended.append("inner")

    def fail(message: Any) -> None:
        if message.get("body"):
            raise OSError("the client has left")

    with pytest.raises(OSError, match="the client has left"):
        await Client(fail).call(BaseHTTPMiddleware(BaseHTTPMiddleware(inner, passing), passing))
    assert ended == ["inner"]


@pytest.mark.anyio
@ways
async def test_cancelling_the_request_reaches_both(answer: Any) -> None:
    ended: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        try:
            await answer(scope, receive, send)
        finally:
            ended.append("inner")

    async def dispatch(request: Any, call_next: Any) -> Any:
        try:
            response = await call_next(request)
            await anyio.sleep_forever()
            return response
        finally:
            ended.append("dispatch")

    with anyio.move_on_after(0.05) as deadline:
        await Client().call(BaseHTTPMiddleware(inner, dispatch))
    assert deadline.cancelled_caught
    assert sorted(ended) == ["dispatch", "inner"]


@pytest.mark.anyio
async def test_cancelling_while_the_endpoint_works_reaches_both() -> None:
    ended: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("inner")

    async def dispatch(request: Any, call_next: Any) -> Any:
        try:
            return await call_next(request)
        finally:
            ended.append("dispatch")

    with anyio.move_on_after(0.02) as deadline:
        await Client().call(BaseHTTPMiddleware(BaseHTTPMiddleware(inner, dispatch), dispatch))
    assert deadline.cancelled_caught
    assert sorted(ended) == ["dispatch", "dispatch", "inner"]


@pytest.mark.anyio
async def test_a_deadline_around_call_next_holds() -> None:
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep_forever()

    async def dispatch(request: Any, call_next: Any) -> Any:
        with anyio.move_on_after(0.02):
            return await call_next(request)
        return PlainTextResponse("too late", 504)

    assert await Client().call(BaseHTTPMiddleware(inner, dispatch)) == b"too late"


@pytest.mark.anyio
@pytest.mark.usefixtures("asyncio_only")
@ways
async def test_asyncio_deadlines_around_call_next_hold_and_end(answer: Any) -> None:
    import asyncio

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep_forever()

    async def dispatch(request: Any, call_next: Any) -> Any:
        try:
            async with asyncio.timeout(0.02):
                await call_next(request)
        except TimeoutError:
            pass
        return await asyncio.wait_for(fast(request, call_next), 5)

    async def fast(request: Any, call_next: Any) -> Any:
        app.app = answer
        return await call_next(request)

    app = BaseHTTPMiddleware(slow, dispatch)
    assert await Client().call(app) == b"a"
    assert not asyncio.current_task().cancelling()


@pytest.mark.anyio
@ways
async def test_call_next_may_be_called_again(answer: Any) -> None:
    calls: list[int] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError("once")
        await answer(scope, receive, send)

    async def retrying(request: Any, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except ConnectionError:
            return await call_next(request)

    assert await Client().call(BaseHTTPMiddleware(inner, retrying)) == b"a"


@pytest.mark.anyio
async def test_a_stream_is_not_buffered() -> None:
    steps: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        async def chunks() -> Any:
            for number in range(8):
                steps.append(f"made {number}")
                yield b"%d" % number

        await StreamingResponse(chunks())(scope, receive, send)

    client = Client(lambda message: steps.append(f"sent {message.get('body', b'start').decode()}"))
    await client.call(BaseHTTPMiddleware(BaseHTTPMiddleware(inner, passing), passing))
    # Each of the two may have one piece on its way.
    for number in range(4):
        assert steps.index(f"sent {number}") < steps.index(f"made {number + 4}")
    assert [step for step in steps if step.startswith("sent")] == [
        "sent start",
        *(f"sent {number}" for number in range(8)),
        "sent ",
    ]


@pytest.mark.anyio
@ways
async def test_a_start_is_passed_on_before_a_body_that_takes_long(answer: Any) -> None:
    started = anyio.Event()

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:

            async def late() -> None:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await started.wait()
                await send({"type": "http.response.body", "body": b"a"})

            tasks.start_soon(late)

    client = Client(lambda message: started.set())
    assert await client.call(BaseHTTPMiddleware(BaseHTTPMiddleware(inner, passing), passing)) == b"a"


@pytest.mark.anyio
async def test_a_background_task_runs_after_the_response_and_its_error_is_raised() -> None:
    client = Client()

    async def fail() -> None:
        assert client.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
        raise LookupError("in the background")

    app = PlainTextResponse("a", background=BackgroundTask(fail))
    with pytest.raises(LookupError, match="in the background"):
        await client.call(BaseHTTPMiddleware(BaseHTTPMiddleware(app, passing), passing))


@pytest.mark.anyio
async def test_the_cancel_scope_of_a_task_can_be_told() -> None:
    """If this fails, anyio or trio has changed inside: requests are answered all the same, with a task each."""
    from forzium._forzium import place

    outside = place()
    assert outside is not None
    with anyio.CancelScope():
        inside = place()
        await anyio.lowlevel.checkpoint()
        assert inside is not None
        assert inside[0] is outside[0]
        assert inside[1] is not outside[1]
        assert inside == place()
    assert outside == place()


class Witness:
    """Something that a request holds, to be seen when it is let go."""


async def failing(scope: Any, receive: Any, send: Any) -> None:
    raise LookupError("rest")


@pytest.mark.anyio
@pytest.mark.parametrize("answer", [*WAYS, failing])
async def test_nothing_of_a_request_is_left_to_the_garbage_collector(answer: Any) -> None:
    witnesses: list[Any] = []

    def witness() -> Witness:
        made = Witness()
        witnesses.append(weakref.ref(made))
        return made

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        scope["rest"] = witness()
        held = witness()
        await answer(scope, receive, send)
        del held

    async def dispatch(request: Any, call_next: Any) -> Any:
        request.state.seen = witness()
        response = await call_next(request)
        response.seen = witness()
        return response

    app = BaseHTTPMiddleware(BaseHTTPMiddleware(inner, dispatch), dispatch)
    gc.collect()
    gc.disable()
    try:
        try:
            await Client().call(app)
        except LookupError:
            pass
        await anyio.lowlevel.checkpoint()
        assert witnesses
        assert [each() for each in witnesses] == [None] * len(witnesses)
    finally:
        gc.enable()


@pytest.mark.parametrize("thrown_away", ["closed", "dropped"])
@pytest.mark.parametrize("at", ["endpoint", "dispatch", "background"])
def test_a_request_that_is_thrown_away_closes_all_that_it_has_begun(at: str, thrown_away: str) -> None:
    ended: list[str] = []

    @types.coroutine
    def stop() -> Any:
        yield "a wait"

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        try:
            if at == "endpoint":
                await stop()
            await whole(scope, receive, send)
            await stop()
        finally:
            ended.append("inner")

    async def dispatch(request: Any, call_next: Any) -> Any:
        try:
            response = await call_next(request)
            if at == "dispatch":
                await stop()
            return response
        finally:
            ended.append("dispatch")

    async def steps() -> None:
        client = Client()
        found = {**scope(), "forzium.nothing_follows": True}
        step = BaseHTTPMiddleware(inner, dispatch)(found, client.receive, client.send)
        assert step.send(None) == "a wait"
        if thrown_away == "closed":
            step.close()
        del step

    anyio.run(steps)
    gc.collect()
    assert sorted(ended) == ["dispatch", "inner"]


@pytest.mark.anyio
async def test_a_run_that_nobody_awaits_does_not_begin() -> None:
    begun: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        begun.append(scope)

    async def dispatch(request: Any, call_next: Any) -> Any:
        call_next(request)
        call_next(request).close()
        return PlainTextResponse("a")

    assert await Client().call(BaseHTTPMiddleware(inner, dispatch)) == b"a"
    assert begun == []


@pytest.mark.anyio
async def test_a_body_of_told_length_is_passed_on_before_what_its_end_waits_for() -> None:
    arrived = anyio.Event()

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        await arrived.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    client = Client(lambda message: arrived.set() if message.get("body") else None)
    assert await client.call(BaseHTTPMiddleware(BaseHTTPMiddleware(inner, passing), passing)) == b"abc"


@pytest.mark.anyio
async def test_a_body_longer_than_told_is_passed_on_as_it_is() -> None:
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        await send({"type": "http.response.body", "body": b"def"})

    assert await Client().call(BaseHTTPMiddleware(inner, passing)) == b"abcdef"


@pytest.mark.anyio
async def test_servers_take_it_for_an_asgi_3_application() -> None:
    app = BaseHTTPMiddleware(whole, passing)
    assert inspect.iscoroutinefunction(app.__call__)
    assert await Client().call(app.__call__) == b"a"


@pytest.mark.anyio
async def test_a_second_run_that_streams_out_of_a_scope_is_ended_when_dispatch_fails() -> None:
    calls: list[int] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError("once")
        with anyio.CancelScope():
            try:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await anyio.sleep_forever()
            finally:
                calls.append(0)

    async def retrying(request: Any, call_next: Any) -> Any:
        with contextlib.suppress(ConnectionError):
            await call_next(request)
        await call_next(request)
        raise LookupError("dispatch")

    with pytest.raises(LookupError, match="dispatch"):
        await Client().call(BaseHTTPMiddleware(inner, retrying))
    assert calls == [1, 1, 0]
