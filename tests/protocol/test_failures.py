"""Exceptions of the user's: they keep their type, traceback, cause and context, and come out after a 500."""

import copy
import logging
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest
from conformance.harness import Framework, Request, compare, exchange, frameworks

from forzium import Depends, FastAPI, HTTPException, WebSocket
from forzium.responses import JSONResponse, StreamingResponse

from .asgi import Host, Message, finish, get, http_scope, is_finished, websocket_scope


class Oops(Exception):
    pass


def serve(app: FastAPI, path: str = "/", **scope: Any) -> tuple[Host, BaseException | None]:
    """Make one request: what was sent, and what came out."""
    host = Host()
    try:
        finish(host.call(app, http_scope(path, **scope)))
    except BaseException as error:
        return host, error
    return host, None


def frames(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


# ---------------------------------------------------------------- what comes out


def test_an_exception_is_answered_with_500_and_raised_itself() -> None:
    app = FastAPI()
    thrown = Oops("really")
    thrown.add_note("a note")
    cause = ValueError("because")

    def deep() -> None:
        try:
            raise LookupError("while")
        except LookupError:
            raise thrown from cause

    @app.get("/")
    async def endpoint() -> None:
        deep()

    host, error = serve(app)
    assert error is thrown
    assert (host.status, host.body) == (500, b"Internal Server Error")
    assert (thrown.__cause__, repr(thrown.__context__), thrown.__notes__) == (cause, "LookupError('while')", ["a note"])
    assert frames(thrown)[-2:] == ["endpoint", "deep"]


def test_the_last_frame_is_the_users_wherever_it_was_raised(anyio_backend: Any) -> None:
    def raising() -> Any:
        raise Oops

    async def raising_soon() -> Any:
        await anyio.sleep(0)
        raising()

    def sync_cleanup() -> Iterator[None]:
        yield
        raising()

    async def async_cleanup() -> AsyncIterator[None]:
        yield
        await raising_soon()

    async def through() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await anyio.sleep(0)

    def sync_through() -> Iterator[None]:
        yield

    def answer() -> Any:
        return JSONResponse(1, background=raising_soon)  # type: ignore[arg-type]

    async def stream() -> Any:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"x"
            await raising_soon()

        return StreamingResponse(chunks())

    async def fine() -> None: ...

    cases: list[tuple[Any, list[Any]]] = [
        (raising, []),
        (raising_soon, []),
        (fine, [raising]),
        (fine, [raising_soon]),
        (fine, [sync_cleanup]),
        (fine, [async_cleanup]),
        (raising_soon, [through, sync_through, through]),
        (answer, []),
        (stream, []),
    ]
    name, options = anyio_backend if isinstance(anyio_backend, tuple) else (anyio_backend, {})
    for endpoint, dependencies in cases:
        app = FastAPI()
        app.get("/", dependencies=[Depends(each) for each in dependencies], response_model=None)(endpoint)
        host = Host()

        async def run(app: FastAPI = app, host: Host = host) -> None:
            await app(http_scope(), anyio.sleep_forever, host.send)  # the client stays

        with pytest.raises((Oops, ExceptionGroup)) as caught:
            anyio.run(run, backend=name, backend_options=options)
        error: BaseException = caught.value
        while isinstance(error, BaseExceptionGroup):
            (error,) = error.exceptions
        assert type(error) is Oops
        assert frames(error)[-1] == "raising", (endpoint, dependencies)


def test_an_exception_raised_again_and_again_does_not_collect_the_frames_of_all_requests() -> None:
    app = FastAPI()
    only = Oops()

    async def through() -> AsyncIterator[None]:
        yield

    @app.get("/", dependencies=[Depends(through)])
    async def endpoint() -> None:
        raise only.with_traceback(None)

    async def main() -> list[int]:
        depths = []
        for _ in range(5):
            host = Host()
            with pytest.raises(Oops):
                await app(http_scope(), host.receive, host.send)
            depths.append(len(frames(only)))
        return depths

    assert len(set(anyio.run(main))) == 1


@pytest.mark.parametrize("thrown", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=repr)
def test_what_is_no_exception_is_not_answered(thrown: BaseException) -> None:
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> None:
        raise thrown

    host, error = serve(app)
    assert error is thrown
    assert host.sent == []


def test_stop_iteration_of_the_users_becomes_a_runtime_error_as_in_any_coroutine() -> None:
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> None:
        raise StopIteration(5)

    host, error = serve(app)
    assert type(error) is RuntimeError
    assert str(error) == "coroutine raised StopIteration"
    assert host.status == 500


def test_an_exception_group_is_answered_once_and_comes_out_whole() -> None:
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()

        async def grouping() -> AsyncIterator[None]:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 0)
                yield

        async def replacing() -> AsyncIterator[None]:
            try:
                yield
            except* ValueError as group:
                raise LookupError from group

        @app.get("/raised")
        async def raised() -> None:
            raise ExceptionGroup("several", [ValueError(1), Oops(2)])

        @app.get("/grouped", dependencies=[fw.Depends(grouping)])
        async def grouped() -> None:
            raise ValueError(3)

        @app.get("/http", dependencies=[fw.Depends(grouping)])
        async def http() -> None:
            raise fw.HTTPException(418)

        @app.get("/replaced", dependencies=[fw.Depends(replacing)])
        async def replaced() -> None:
            raise ExceptionGroup("several", [ValueError(1)])

        return app

    compare(build, *(Request(path) for path in ("/raised", "/grouped", "/http", "/replaced")))


# ---------------------------------------------------------------- inside handlers


def handler_app(fw: Framework, asynchronous: bool, handler: Callable[[Exception], Any]) -> Any:
    app = fw.FastAPI()

    if asynchronous:

        @app.exception_handler(Oops)
        async def handle(request: fw.Request, error: Oops) -> Any:
            handler(error)
            await anyio.sleep(0)
            return fw.responses.JSONResponse(handler(error))
    else:

        @app.exception_handler(Oops)
        def handle(request: fw.Request, error: Oops) -> Any:
            return fw.responses.JSONResponse(handler(error))

    @app.exception_handler(500)
    async def last(request: fw.Request, error: Exception) -> Any:
        return fw.responses.JSONResponse([repr(error), handler(error)], status_code=500)

    @app.get("/")
    async def endpoint() -> None:
        raise Oops("in the endpoint")

    @app.get("/other")
    async def other() -> None:
        raise LookupError("in the other")

    return app


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_handler_sees_the_exception_as_the_one_being_handled(asynchronous: bool) -> None:
    def handler(error: Exception) -> Any:
        shown = sys.exc_info()
        return [
            shown[1] is error,
            shown[0] is type(error),
            frames(error)[-1],
            traceback.format_exc().splitlines()[-1],
        ]

    for path in ("/", "/other"):
        outcomes = [exchange(handler_app(fw, asynchronous, handler), Request(path)) for fw in frameworks()]
        assert outcomes[1] == outcomes[0]
    assert sys.exc_info() == (None, None, None)


def test_logging_in_a_handler_shows_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()

    @app.exception_handler(Oops)
    async def handle(request: Any, error: Oops) -> Any:
        logging.exception("it failed")
        return JSONResponse(1)

    @app.get("/")
    async def endpoint() -> None:
        raise Oops

    assert get(app).status == 200
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is Oops
    assert "in endpoint" in caplog.text


def test_what_a_handler_raises_has_the_first_exception_as_its_context() -> None:
    app = FastAPI()

    @app.exception_handler(Oops)
    async def handle(request: Any, error: Oops) -> Any:
        raise LookupError("worse")

    @app.get("/")
    async def endpoint() -> None:
        raise Oops("first")

    host, error = serve(app)
    assert repr(error) == "LookupError('worse')"
    assert error is not None
    assert repr(error.__context__) == "Oops('first')"
    assert error.__cause__ is None
    assert host.status == 500


def test_nothing_is_being_handled_once_it_is_over() -> None:
    app = FastAPI()
    seen: list[Any] = []

    @app.exception_handler(Oops)
    async def handle(request: Any, error: Oops) -> Any:
        async def background() -> None:
            seen.append(sys.exc_info())

        return JSONResponse(1, background=background)  # type: ignore[arg-type]

    @app.get("/")
    async def endpoint() -> None:
        raise Oops

    try:
        raise ValueError
    except ValueError as error:
        assert get(app).status == 200
        assert sys.exc_info()[1] is error
    assert sys.exc_info() == (None, None, None)


def test_an_exception_object_that_is_raised_again_and_again_collects_no_frames() -> None:
    app = FastAPI()
    error = HTTPException(418)

    @app.get("/")
    async def endpoint() -> None:
        try:
            raise error
        except HTTPException:
            raise

    for _ in range(3):
        assert get(app).status == 418
        assert error.__traceback__ is None


@pytest.mark.parametrize("path", ["/", "/raised", "/nowhere", "/invalid"])
def test_what_a_host_makes_of_messages_is_its_own(path: str) -> None:
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> int:
        return 1

    @app.get("/raised")
    async def raised() -> None:
        raise HTTPException(418)

    @app.get("/invalid")
    async def invalid(number: int) -> None: ...

    first = get(app, path).sent
    kept = copy.deepcopy(first)
    for message in first:
        if "headers" in message:
            message["headers"].append((b"x-added", b"1"))
        message.update(status=599, body=b"changed", added=1)
    assert get(app, path).sent == kept


# ---------------------------------------------------------------- after the response has started


@pytest.mark.parametrize("kind", ["handled", "unhandled", "http"])
def test_an_exception_after_the_start_is_not_answered_a_second_time(kind: str) -> None:
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()

        @app.exception_handler(Oops)
        async def handle(request: Any, error: Any) -> Any:
            raise AssertionError("too late to answer")

        errors = {"handled": Oops("late"), "unhandled": LookupError("late"), "http": fw.HTTPException(418)}

        async def task() -> None:
            raise errors[kind]

        @app.get("/background")
        async def background(tasks: fw.BackgroundTasks) -> int:
            tasks.add_task(task)
            return 1

        @app.get("/response")
        async def response() -> Any:
            return fw.responses.JSONResponse(1, background=task)

        @app.get("/stream")
        async def stream() -> Any:
            async def chunks() -> AsyncIterator[bytes]:
                yield b"x"
                raise errors[kind]

            return fw.responses.StreamingResponse(chunks())

        return app

    outcomes = compare(build, *(Request(path) for path in ("/background", "/response", "/stream")))
    assert all(outcome.status == 200 and outcome.raised for outcome in outcomes)


def test_an_exception_of_send_is_the_hosts_own_and_ends_the_request() -> None:
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> int:
        return 1

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        raise thrown

    for thrown in (OSError("gone"), ConnectionResetError()):
        awaitable = app(http_scope(), receive, send)
        with pytest.raises(OSError) as caught:
            finish(awaitable)
        assert caught.value is thrown
        assert is_finished(awaitable)


def test_an_http_exception_raised_by_cleanup_is_answered() -> None:
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()

        async def translating() -> AsyncIterator[None]:
            try:
                yield
            except Oops:
                raise fw.HTTPException(418, "translated") from None

        async def swallowing() -> AsyncIterator[None]:
            try:
                yield
            except Oops:
                pass

        @app.get("/translated", dependencies=[fw.Depends(translating)])
        async def translated() -> None:
            raise Oops

        @app.get("/swallowed", dependencies=[fw.Depends(swallowing)])
        async def swallowed() -> None:
            raise Oops

        @app.get("/function", dependencies=[fw.Depends(translating, scope="function")])
        async def function() -> None:
            raise Oops

        return app

    compare(build, *(Request(path) for path in ("/translated", "/swallowed", "/function")))


def test_the_debug_page_shows_the_users_line() -> None:
    app = FastAPI(debug=True)

    @app.get("/")
    async def endpoint() -> None:
        raise Oops("look here")

    host = Host()

    async def run() -> None:
        await app(http_scope(headers=[(b"accept", b"text/plain")]), host.receive, host.send)

    with pytest.raises(Oops):
        anyio.run(run)
    assert host.status == 500
    assert b'raise Oops("look here")' in host.body


def test_an_http_exception_of_a_websocket_is_left_to_its_handler() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def talk(websocket: WebSocket) -> None:
        raise Oops

    host = Host([{"type": "websocket.connect"}])
    with pytest.raises(Oops):
        finish(host.call(app, websocket_scope()))
    assert host.sent == []


def test_http_exceptions_outside_of_routes_are_answered_too() -> None:
    app = FastAPI()

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        raise HTTPException(418, "mounted")

    app.mount("/mount", mounted)
    assert get(app, "/mount/x").status == 418
