"""What a method of a WebSocket gives: it behaves like the coroutine of an ``async def`` method, under any event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import types
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any
from unittest.mock import MagicMock

import anyio
import pytest
import starlette.websockets

from forzium.websockets import WebSocket, WebSocketDisconnect, WebSocketState

METHODS = ["receive", "send", "accept", "close"] + [
    f"{way}_{kind}" for way in ("receive", "send") for kind in ("text", "bytes", "json")
]
TEXT = {"type": "websocket.receive", "text": "hello"}


class Peer:
    """A host whose `receive` waits until there is a message."""

    def __init__(self, *received: dict[str, Any], kind: type[WebSocket[Any]] = WebSocket) -> None:
        self.to_app, self.from_host = anyio.create_memory_object_stream[dict[str, Any]](9)
        self.sent: list[dict[str, Any]] = []
        for message in ({"type": "websocket.connect"}, *received):
            self.to_app.send_nowait(message)
        self.websocket: WebSocket[Any] = kind({"type": "websocket", "headers": []}, self.receive, self.send)

    async def receive(self) -> dict[str, Any]:
        return await self.from_host.receive()

    async def send(self, message: Any) -> None:
        await anyio.sleep(0)
        self.sent.append(message)

    def close(self) -> None:
        self.to_app.close()
        self.from_host.close()


@pytest.fixture
def peer() -> Any:
    peer = Peer(TEXT)
    yield peer
    peer.close()


ITERATIONS = ["iter_text", "iter_bytes", "iter_json"]


@pytest.mark.parametrize("name", METHODS + ITERATIONS)
def test_a_method_is_declared_as_starlettes_is(name: str) -> None:
    theirs, ours = (getattr(kind, name) for kind in (starlette.websockets.WebSocket, WebSocket))
    kind_of = inspect.isasyncgenfunction if name in ITERATIONS else inspect.iscoroutinefunction
    assert kind_of(ours)
    assert kind_of(getattr(WebSocket({"type": "websocket"}, None, None), name))  # type: ignore[arg-type]
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert ours.__qualname__ == theirs.__qualname__
    assert ours.__doc__
    for args, options in [((), {"nonsense": 1}), (range(4), {}), ((), {})]:
        raised = []
        for kind, method in ((starlette.websockets.WebSocket, theirs), (WebSocket, ours)):
            socket = kind({"type": "websocket", "headers": []}, None, None)  # type: ignore[arg-type]
            try:
                made = method(socket, *args, **options)
            except TypeError as error:
                raised.append(str(error))
            else:
                if name not in ITERATIONS:
                    made.close()
        assert raised[::2] == raised[1::2]


@pytest.mark.anyio
async def test_a_mock_with_its_specification_can_be_awaited() -> None:
    mocked = MagicMock(spec=WebSocket)
    await mocked.send_json({})
    mocked.send_json.assert_awaited_once_with({})


@pytest.mark.anyio
async def test_nothing_happens_before_it_is_awaited(peer: Peer) -> None:
    call = peer.websocket.accept()
    assert asyncio.iscoroutine(call)
    assert inspect.isawaitable(call)
    assert peer.sent == []
    call.close()
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await call
    await peer.websocket.accept()
    assert [message["type"] for message in peer.sent] == ["websocket.accept"]


@pytest.mark.anyio
async def test_calls_run_as_tasks_of_their_own(peer: Peer) -> None:
    await peer.websocket.accept()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.websocket.send_text, "one")
        tasks.start_soon(peer.websocket.send_json, {"é": [1e-07, 1e16, float("nan")]})
        assert await peer.websocket.receive_text() == "hello"
    assert sorted(message["text"] for message in peer.sent[1:]) == ["one", '{"é":[1e-07,1e+16,NaN]}']


@pytest.mark.anyio
async def test_a_cancelled_call_leaves_the_socket_as_it_was(peer: Peer) -> None:
    await peer.websocket.accept()
    assert await peer.websocket.receive_text() == "hello"
    with anyio.move_on_after(0.001) as scope:
        await peer.websocket.receive_text()
    assert scope.cancelled_caught
    peer.to_app.send_nowait(TEXT)
    assert await peer.websocket.receive_text() == "hello"


@pytest.mark.anyio
async def test_what_the_host_raises_comes_through(peer: Peer) -> None:
    await peer.websocket.accept()

    async def broken(_message: Any = None) -> Any:
        raise OSError("gone")

    peer.websocket._receive = broken
    with pytest.raises(OSError, match="gone"):
        await peer.websocket.receive_text()
    peer.websocket._send = broken
    with pytest.raises(WebSocketDisconnect) as caught:
        await peer.websocket.send_text("x")
    assert isinstance(caught.value.__context__, OSError)


class Broken:
    """An awaitable that fails when it is to be awaited, before the first step."""

    def __await__(self) -> Any:
        raise OSError("gone")


@pytest.mark.anyio
@pytest.mark.parametrize("call", ["send_text", "send_bytes", "send_json", "close", "send"])
async def test_a_send_that_cannot_be_awaited_says_that_the_client_has_left(peer: Peer, call: str) -> None:
    await peer.websocket.accept()
    given: dict[str, tuple[Any, ...]] = {"send_bytes": (b"x",), "close": (), "send": ({"type": "websocket.send"},)}
    peer.websocket._send = lambda _message: Broken()
    with pytest.raises(WebSocketDisconnect) as caught:
        await getattr(peer.websocket, call)(*given.get(call, ("x",)))
    assert isinstance(caught.value.__context__, OSError)
    assert peer.websocket.application_state.name == "DISCONNECTED"


@pytest.mark.anyio
async def test_a_receive_and_a_send_of_the_users_are_asked() -> None:
    log: list[str] = []

    class Logged(WebSocket[Any]):
        async def receive(self) -> Any:
            message = await super().receive()
            log.append(message["type"])
            return message

        async def send(self, message: Any) -> None:
            log.append(message["type"])
            await super().send(message)

    peer = Peer(TEXT, TEXT, kind=Logged)
    await peer.websocket.accept()
    assert await peer.websocket.receive_text() == "hello"
    await peer.websocket.send_text("x")
    assert log == ["websocket.connect", "websocket.accept", "websocket.receive", "websocket.send"]

    async def replaced(message: Any) -> None:
        log.append("replaced")

    peer.websocket.send = replaced  # type: ignore[method-assign]
    await peer.websocket.send_bytes(b"x")
    del peer.websocket.send
    await peer.websocket.close()
    assert log[4:] == ["replaced", "websocket.close"]
    peer.close()


def of_starlette(*received: Any) -> Any:
    return Peer(*received, kind=starlette.websockets.WebSocket)  # type: ignore[arg-type]


@pytest.mark.anyio
@pytest.mark.parametrize("make", [Peer, of_starlette], ids=["forzium", "starlette"])
async def test_an_iteration_is_an_asynchronous_generator(make: Any) -> None:
    """Run on both: what is typed in here is what Starlette does."""
    peer = make(TEXT, TEXT, TEXT, {"type": "websocket.disconnect", "code": 1000})
    websocket = peer.websocket
    await websocket.accept()
    texts = websocket.iter_text()
    assert isinstance(texts, AsyncGenerator)
    with pytest.raises(TypeError, match="can't send non-None value to a just-started async generator"):
        await texts.asend(1)
    assert aiter(texts) is texts
    assert await anext(texts) == "hello"
    assert await texts.asend("ignored") == "hello"
    assert await texts.aclose() is None
    assert [text async for text in texts] == []
    async with contextlib.aclosing(websocket.iter_text()) as again:
        assert [text async for text in again] == ["hello"]
    with pytest.raises(StopAsyncIteration):
        await anext(again)
    with pytest.raises(RuntimeError, match="once a disconnect message has been received"):
        await anext(websocket.iter_text())
    thrown = websocket.iter_text()
    with pytest.raises(LookupError, match="thrown"):
        await thrown.athrow(LookupError("thrown"))
    assert [text async for text in thrown] == []
    peer.close()


@pytest.mark.anyio
@pytest.mark.parametrize("make", [Peer, of_starlette], ids=["forzium", "starlette"])
async def test_an_iteration_ends_with_its_cancellation(make: Any) -> None:
    peer = make()
    await peer.websocket.accept()
    texts = peer.websocket.iter_text()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(texts.__anext__)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="asynchronous generator is already running"):
            await anext(texts)
        tasks.cancel_scope.cancel()
    peer.to_app.send_nowait(TEXT)
    assert [text async for text in texts] == []
    peer.close()


@pytest.mark.anyio
async def test_an_iteration_asks_a_receive_text_of_the_users() -> None:
    class Loud(WebSocket[Any]):
        async def receive_text(self) -> str:
            return (await super().receive_text()).upper()

    peer = Peer(TEXT, {"type": "websocket.disconnect"}, kind=Loud)
    await peer.websocket.accept()
    assert [text async for text in peer.websocket.iter_text()] == ["HELLO"]
    peer.close()


@pytest.mark.anyio
async def test_a_patch_of_the_class_counts_at_once(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    await peer.websocket.accept()
    await peer.websocket.send_text("one")

    async def patched(self: Any, message: Any) -> None:
        peer.sent.append({"patched": message["text"]})

    with monkeypatch.context() as patch:
        patch.setattr(WebSocket, "send", patched)
        await peer.websocket.send_text("two")
    await peer.websocket.send_text("three")
    assert peer.sent[1:] == [
        {"type": "websocket.send", "text": "one"},
        {"patched": "two"},
        {"type": "websocket.send", "text": "three"},
    ]


@pytest.mark.anyio
async def test_a_call_that_somebody_holds_is_not_used_again(peer: Peer) -> None:
    await peer.websocket.accept()
    held = peer.websocket.send_text("one")
    await held
    other = peer.websocket.send_text("two")
    assert other is not held
    with pytest.raises(RuntimeError, match="already awaited"):
        await held
    await other
    assert [message["text"] for message in peer.sent[1:]] == ["one", "two"]


def test_a_socket_that_its_own_calls_hold_is_collected() -> None:
    class Forever:
        def __await__(self) -> Any:
            while True:
                yield

    socket = WebSocket({"type": "websocket"}, Forever, Forever)  # type: ignore[arg-type]
    socket.scope["waiting"] = socket.receive()
    socket.scope["waiting"].send(None)
    socket.scope["to be awaited"] = socket.send({"type": "websocket.accept"})
    gone = weakref.ref(socket)
    del socket
    gc.collect()
    assert gone() is None


class Later:
    """An awaitable that is no coroutine, and gives way once if it is to wait."""

    def __init__(self, result: Any, waits: bool) -> None:
        self.result, self.waits = result, waits

    def __await__(self) -> Generator[Any, Any, Any]:
        if self.waits:
            yield from anyio.sleep(0).__await__()
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


class Odd(dict[str, Any]):
    """A message that is no plain dictionary."""


class Kind(str):
    """A type of message that is no plain text."""


@types.coroutine
def by_send(call: Any) -> Generator[Any, Any, Any]:
    """Resumes by `send`, where `await` takes a shorter way."""
    value = None
    while True:
        try:
            yielded = call.send(value)
        except StopIteration as stop:
            return stop.value
        value = yield yielded


async def by_await(call: Any) -> Any:
    return await call


@types.coroutine
def a_generator_of_the_hosts(result: Any) -> Generator[Any, Any, Any]:
    yield from ()
    return result


def at_once(error: BaseException) -> Any:
    raise error


WHAT_A_HOST_GIVES: dict[str, Callable[[bool], Any]] = {
    "text": lambda waits: Later(TEXT, waits),
    "bytes": lambda waits: Later({"type": "websocket.receive", "bytes": b"hello"}, waits),
    "both": lambda waits: Later({"type": "websocket.receive", "bytes": b"hello", "text": None}, waits),
    "neither": lambda waits: Later({"type": "websocket.receive"}, waits),
    "a message of another kind": lambda waits: Later({"type": "websocket.connect"}, waits),
    "a message without a type": lambda waits: Later({}, waits),
    "a message of a class of its own": lambda waits: Later(Odd(TEXT), waits),
    "a type of a class of its own": lambda waits: Later({**TEXT, "type": Kind("websocket.receive")}, waits),
    "the end": lambda waits: Later({"type": "websocket.disconnect", "code": 4000, "reason": "bye"}, waits),
    "no message": lambda waits: Later(None, waits),
    "a generator that may be awaited": lambda waits: a_generator_of_the_hosts(TEXT),
    "nothing to wait for": lambda waits: TEXT,
    "a broken pipe": lambda waits: Later(BrokenPipeError("gone"), waits),
    "a broken pipe at once": lambda waits: at_once(BrokenPipeError("gone")),
    "an error": lambda waits: Later(ValueError("no"), waits),
    "an error at once": lambda waits: at_once(ValueError("no")),
}
CALLS: dict[str, Callable[[Any], Any]] = {
    "receive": lambda websocket: websocket.receive(),
    "receive_text": lambda websocket: websocket.receive_text(),
    "receive_bytes": lambda websocket: websocket.receive_bytes(),
    "receive_json": lambda websocket: websocket.receive_json("binary"),
    "iter_text": lambda websocket: websocket.iter_text().__anext__(),
    "send": lambda websocket: websocket.send({"type": "websocket.send", "text": "hello"}),
    "send_text": lambda websocket: websocket.send_text("hello"),
    "send_bytes": lambda websocket: websocket.send_bytes(data=b"hello"),
    "send_json": lambda websocket: websocket.send_json([1]),
    "close": lambda websocket: websocket.close(),
}


async def came_of(
    resumed: Callable[[Any], Any], call: Callable[[Any], Any], gives: Callable[[bool], Any], waits: bool
) -> list[Any]:
    """What two calls in a row came to, each with the states after it, and what was sent."""
    sent = []

    def send(message: Any) -> Any:
        sent.append(message)
        return gives(waits)

    websocket: Any = WebSocket({"type": "websocket", "headers": []}, lambda: gives(waits), send)
    websocket.client_state = websocket.application_state = WebSocketState.CONNECTED
    came: list[Any] = []
    for _ in range(2):
        try:
            came.append(await resumed(call(websocket)))
        except Exception as error:
            came.append((type(error), str(error), vars(error), repr(error.__cause__), repr(error.__context__)))
        came += [websocket.client_state, websocket.application_state]
    return [*came, sent]


@pytest.mark.anyio
@pytest.mark.parametrize("waits", [False, True], ids=["at once", "waits"])
@pytest.mark.parametrize("call", CALLS)
async def test_a_call_comes_to_the_same_however_it_is_resumed(call: str, waits: bool) -> None:
    for given, gives in WHAT_A_HOST_GIVES.items():
        short, long = [await came_of(resumed, CALLS[call], gives, waits) for resumed in (by_await, by_send)]
        assert short == long, given


@pytest.mark.anyio
async def test_what_an_instance_is_given_meanwhile_counts_at_once(peer: Peer) -> None:
    websocket = peer.websocket
    await websocket.accept()
    seen: list[Any] = []

    async def noted(message: Any) -> None:
        seen.append(message["text"])

    for way in (websocket.__setattr__, websocket.__dict__.__setitem__):
        await websocket.send_text("to the host")
        way("send", noted)
        await websocket.send_text("to the user")
        del websocket.send
        websocket.other = websocket.__dict__.pop("other", 0)  # type: ignore[attr-defined]
    await websocket.send_text("to the host")
    websocket.__dict__ = {**websocket.__dict__, "send": noted}
    await websocket.send_text("to the user")
    assert seen == ["to the user"] * 3
    assert [message["text"] for message in peer.sent[1:]] == ["to the host"] * 3
