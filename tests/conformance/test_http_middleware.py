"""Random stacks of middleware of every kind around every kind of endpoint: what the client gets, and what each part sees.

What each part notes is compared part by part: which of two parts goes on first is said nowhere, but for a response,
which has gone out before background tasks run.
"""

import gc
import random
import warnings
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from conformance.harness import Framework, frameworks

Log = list[tuple[str, Any]]
Dispatch = Callable[[Any, Any], Awaitable[Any]]
STACKS = 120


def shown(error: BaseException) -> str:
    """An exception and the members of a group, without causes: those tell how a framework works inside."""
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return " ".join([f"{type(error).__name__}: {error}", *map(shown, members)])


# --- http middleware


def dispatches(fw: Framework, name: str, log: Log) -> dict[str, Dispatch]:
    """Every dispatch function, by name; each notes what it sees under the name it is given."""
    responses = fw.starlette.responses

    def note(what: Any) -> None:
        log.append((name, what))

    async def passes(request: Any, call_next: Any) -> Any:
        note(request.url.path)
        return await call_next(request)

    async def tags(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        note((response.status_code, "content-length" in response.headers))
        response.headers[f"x-{name}"] = "1"
        return response

    async def changes_the_status(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.status_code += 1
        return response

    async def reads_the_body(request: Any, call_next: Any) -> Any:
        note(await request.body())
        response = await call_next(request)
        note(await request.body())
        return response

    async def reads_the_stream(request: Any, call_next: Any) -> Any:
        note(b"".join([piece async for piece in request.stream()]))
        return await call_next(request)

    async def discards(request: Any, call_next: Any) -> Any:
        await call_next(request)
        return responses.PlainTextResponse("mine", 418)

    async def never_calls(request: Any, call_next: Any) -> Any:
        return responses.JSONResponse({"a": 1})

    async def rewrites(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        body = b"".join([chunk async for chunk in response.body_iterator])
        note(body)
        return responses.Response(body[::-1], response.status_code)

    async def wraps(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        inner = response.body_iterator

        async def shouting() -> Any:
            async for chunk in inner:
                yield chunk.upper()

        response.body_iterator = shouting()
        return response

    async def adds_a_task(request: Any, call_next: Any) -> Any:
        response = await call_next(request)

        async def task() -> None:
            note("in the background")

        response.background = fw.BackgroundTasks([fw.starlette.background.BackgroundTask(task)])
        return response

    async def fails_before(request: Any, call_next: Any) -> Any:
        raise LookupError(name)

    async def fails_after(request: Any, call_next: Any) -> Any:
        await call_next(request)
        raise LookupError(name)

    async def refuses(request: Any, call_next: Any) -> Any:
        raise fw.HTTPException(403, name)

    async def catches(request: Any, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except Exception as error:
            note(shown(error))
            return responses.PlainTextResponse(f"caught {type(error).__name__}", 503)

    async def translates(request: Any, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except Exception as error:
            raise OverflowError(name) from error

    async def waits(request: Any, call_next: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        response = await call_next(request)
        await anyio.lowlevel.checkpoint()
        return response

    async def has_a_deadline(request: Any, call_next: Any) -> Any:
        with anyio.fail_after(10):
            return await call_next(request)

    async def opens_a_scope_after(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        with anyio.CancelScope():
            await anyio.lowlevel.checkpoint()
        return response

    async def calls_from_a_task(request: Any, call_next: Any) -> Any:
        found: list[Any] = []

        async def call() -> None:
            found.append(await call_next(request))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
        return found[0]

    async def shares_state(request: Any, call_next: Any) -> Any:
        request.state.seen = [*getattr(request.state, "seen", []), name]
        response = await call_next(request)
        note(request.state.seen)
        return response

    return {function.__name__: function for function in list(locals().values()) if callable(function)}


HTTP = sorted(set(dispatches(frameworks()[0], "", [])) - {"note"})
QUIET = sorted(set(HTTP) - {"fails_before", "refuses", "never_calls", "discards", "fails_after"})
"""What lets most of a request through, so that the rest of a stack is not idle."""


def with_dispatch(fw: Framework, app: Any, kind: str, name: str, log: Log, *, as_method: bool) -> None:
    """Add a dispatch function: as a method of a subclass, or with the decorator."""
    function = dispatches(fw, name, log)[kind]
    if not as_method:
        app.middleware("http")(function)
        return
    base = fw.starlette.module("middleware.base").BaseHTTPMiddleware

    class Added(base):  # type: ignore[misc,valid-type]
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            return await function(request, call_next)

    app.add_middleware(Added)


# --- plain ASGI middleware


class Plain:
    """ASGI middleware that looks at what goes by, by wrapping `receive` or `send`, and adds a header."""

    def __init__(self, app: Any, name: str, log: Log, wrap: str) -> None:
        self.app, self.name, self.log, self.wrap = app, name, log, wrap

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def receiving() -> Any:
            message = await receive()
            # Whether a stream has begun to listen for the client before it ended is a matter of luck.
            if message["type"] == "http.request" and message["body"]:
                self.log.append((self.name, (message["body"], message["more_body"])))
            return message

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (self.name.encode(), b"1")]}
            await send(message)

        try:
            await self.app(
                scope, receiving if self.wrap == "receive" else receive, sending if self.wrap == "send" else send
            )
        except Exception as error:
            self.log.append((self.name, type(error).__name__))
            raise
        self.log.append((self.name, "end"))


# --- endpoints


def add_endpoints(fw: Framework, app: Any, log: Log) -> None:
    responses = fw.starlette.responses

    def note(what: Any) -> None:
        log.append(("endpoint", what))

    async def resource() -> Any:
        note("open")
        try:
            yield "r"
        except ValueError:
            note("failed")
            raise
        finally:
            note("close")

    @app.get("/dict")
    async def plain() -> Any:
        return {"hello": "world"}

    @app.get("/sync")
    def sync() -> Any:
        return {"hello": "thread"}

    @app.get("/nothing", status_code=204)
    async def nothing() -> None:
        return None

    @app.get("/state")
    async def state(request: fw.Request) -> Any:
        return getattr(request.state, "seen", None)

    @app.get("/stream")
    async def stream() -> Any:
        async def chunks() -> Any:
            for number in range(4):
                yield f"chunk {number} "
                if number % 2:
                    await anyio.lowlevel.checkpoint()

        return responses.StreamingResponse(chunks())

    @app.get("/counted")
    async def counted() -> Any:
        async def chunks() -> Any:
            yield b"abc"
            await anyio.lowlevel.checkpoint()
            yield b"def"

        return responses.StreamingResponse(chunks(), headers={"content-length": "6"})

    @app.get("/slow-end")
    async def slow_end() -> Any:
        async def chunks() -> Any:
            yield b"abcdef"
            await anyio.lowlevel.checkpoint()

        return responses.StreamingResponse(chunks(), headers={"content-length": "6"})

    @app.get("/broken-stream")
    async def broken_stream() -> Any:
        async def chunks() -> Any:
            yield b"a"
            raise ValueError("in the stream")

        return responses.StreamingResponse(chunks())

    @app.get("/error")
    async def error() -> Any:
        raise ValueError("endpoint")

    @app.get("/refused")
    async def refused() -> Any:
        raise fw.HTTPException(409, "no")

    @app.get("/resource")
    async def with_resource(tasks: fw.BackgroundTasks, value: str = fw.Depends(resource)) -> Any:
        tasks.add_task(note, "background")
        return value

    @app.get("/resource-error")
    async def with_resource_error(value: str = fw.Depends(resource)) -> Any:
        raise ValueError(value)

    @app.get("/resource-stream")
    async def with_resource_stream(value: str = fw.Depends(resource)) -> Any:
        async def chunks() -> Any:
            for _ in range(3):
                yield value
                await anyio.lowlevel.checkpoint()

        return responses.StreamingResponse(chunks())

    @app.post("/echo")
    async def echo(request: fw.Request) -> Any:
        return responses.Response(await request.body())

    @app.post("/json")
    async def with_json(body: dict[str, int]) -> Any:
        return body

    @app.post("/early")
    async def early(request: fw.Request) -> Any:
        return responses.StreamingResponse(request.stream())


GETS = [
    "/dict",
    "/sync",
    "/nothing",
    "/state",
    "/stream",
    "/counted",
    "/slow-end",
    "/broken-stream",
    "/error",
    "/refused",
    "/resource",
    "/resource-error",
    "/resource-stream",
    "/missing",
]
POSTS = ["/echo", "/json", "/early"]


# --- a stack, and what is seen of it


def stack_of(seed: int) -> list[tuple[str, str, bool]]:
    """Which middleware, the innermost first: `(kind, what, flag)`."""
    choose = random.Random(seed)
    stack = []
    for _ in range(choose.randint(1, 4)):
        kind = choose.choice(["http", "http", "http", "plain", "built-in"])
        if kind == "http":
            stack.append((kind, choose.choice(HTTP if choose.random() < 0.4 else QUIET), choose.random() < 0.3))
        elif kind == "plain":
            stack.append((kind, choose.choice(["receive", "send", "nothing"]), False))
        else:
            stack.append((kind, choose.choice(["gzip", "cors", "trustedhost"]), False))
    return stack


def application(fw: Framework, stack: list[tuple[str, str, bool]], log: Log) -> Any:
    app = fw.FastAPI()
    add_endpoints(fw, app, log)
    for place, (kind, what, flag) in enumerate(stack):
        name = f"m{place}"
        if kind == "http":
            with_dispatch(fw, app, what, name, log, as_method=flag)
        elif kind == "plain":
            app.add_middleware(Plain, name=name, log=log, wrap=what)
        elif what == "gzip":
            app.add_middleware(fw.module("middleware.gzip").GZipMiddleware, minimum_size=1)
        elif what == "cors":
            app.add_middleware(fw.module("middleware.cors").CORSMiddleware, allow_origins=["*"])
        else:
            app.add_middleware(fw.module("middleware.trustedhost").TrustedHostMiddleware, allowed_hosts=["a.example"])
    return app


def scope_of(path: str, spec: str) -> dict[str, Any]:
    headers = [(b"host", b"a.example"), (b"accept-encoding", b"gzip"), (b"origin", b"http://b.example")]
    if path in POSTS:
        headers.append((b"content-type", b"application/json"))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": spec},
        "http_version": "1.1",
        "method": "POST" if path in POSTS else "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("a.example", 80),
        "state": {},
    }


def seen(app: Any, log: Log, path: str, spec: str, backend: str) -> Any:
    """The start, the pieces joined, whether it ended, what was raised, and what each part has noted."""
    log.clear()
    sent: list[Any] = []
    raised: list[str] = []
    incoming = [
        {"type": "http.request", "body": b'{"a"', "more_body": True},
        {"type": "http.request", "body": b": 1}", "more_body": False},
    ]

    async def main() -> None:
        finished = anyio.Event()

        async def receive() -> Any:
            if incoming and path in POSTS:
                return incoming.pop(0)
            if incoming:
                incoming.clear()
                return {"type": "http.request", "body": b"", "more_body": False}
            await finished.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(dict(message))
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                log.append(("client", "whole response"))
                finished.set()

        with anyio.fail_after(20):
            try:
                await app(scope_of(path, spec), receive, send)
            except TimeoutError:
                raise
            except Exception as error:
                raised.append(shown(error))

    anyio.run(main, backend=backend)
    starts = [(message["status"], sorted(message["headers"])) for message in sent if "status" in message]
    body = b"".join(message.get("body", b"") for message in sent)
    if starts and (b"content-encoding", b"gzip") in starts[0][1]:
        # How often a compressor flushes is its own business.
        body = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(body)
    ended = bool(sent) and not sent[-1].get("more_body", True)
    parts: dict[str, list[Any]] = {}
    for part, what in log:
        parts.setdefault(part, []).append(what)
    tasks = [place for place, (_, what) in enumerate(log) if what in ("background", "in the background")]
    after = [place > log.index(("client", "whole response")) for place in tasks] if ended else []
    return {"starts": starts, "body": body, "ended": ended, "raised": raised, "parts": parts, "after": after}


DIFFERENT = {
    # A client that seems to have left is nobody's error here.
    ("discards", "/early"),
    # Two errors at once: here the one that is nearer to the client, in FastAPI under trio a group of both.
    ("fails_after", "/broken-stream"),
}
"""What dispatch does, and before which endpoint, where forzium differs on purpose."""


@pytest.mark.parametrize("seed", range(STACKS))
def test_random_stacks_do_the_same(seed: int) -> None:
    stack = stack_of(seed)
    choose = random.Random(seed)
    paths = [*choose.sample(GETS, 4), choose.choice(POSTS)]
    logs: list[Log] = [[], []]
    apps = [application(fw, stack, log) for fw, log in zip(frameworks(), logs, strict=True)]
    for path in paths:
        if any((what, path) in DIFFERENT for _, what, _ in stack):
            continue
        for backend in ("asyncio", "trio"):
            # Before 2.4 a stream listens for the client, which makes two readers of what `/early` reads.
            spec = "2.4" if path == "/early" else choose.choice(["2.3", "2.4"])
            with warnings.catch_warnings():
                # Starlette leaves generators behind; forzium must not.
                warnings.simplefilter("ignore", ResourceWarning)
                expected = seen(apps[0], logs[0], path, spec, backend)
                gc.collect()
            found = seen(apps[1], logs[1], path, spec, backend)
            assert found == expected, f"{path} on {backend} with {spec}, through {stack}"
