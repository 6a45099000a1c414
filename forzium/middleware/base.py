"""`BaseHTTPMiddleware`: middleware written as "take the request, call the rest, return a response".

Layer: on `requests`, `responses`, `_utils`.
Not for: middleware that sees ASGI messages; that is a plain class with `__call__(scope, receive, send)`.

The rest of the chain runs beside `dispatch`, and each message it sends is handed over one at a time: nothing is
buffered, and a background task starts when the response has gone out. What the rest of the chain does to context
variables is seen by `dispatch` from the moment `call_next` returns, and by whatever wraps this middleware.

Source: `starlette.middleware.base`. Context variables flowing back is ours; Starlette loses them.
"""

import contextvars
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import anyio

from forzium._utils import create_collapsing_task_group
from forzium.requests import ClientDisconnect, Request
from forzium.responses import Response

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from forzium.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["BaseHTTPMiddleware", "DispatchFunction", "RequestResponseEndpoint"]

RequestResponseEndpoint = Callable[[Request], Awaitable[Response]]
DispatchFunction = Callable[[Request, RequestResponseEndpoint], Awaitable[Response]]
BodyStreamGenerator = AsyncGenerator[bytes | MutableMapping[str, Any], None]
AsyncContentStream = AsyncIterable[str | bytes | memoryview | MutableMapping[str, Any]]

_DISCONNECT = "http.disconnect"


class _CachedRequest(Request):
    """The request `dispatch` sees; what it has read of the body decides what the rest of the chain receives.

    After `body()` the rest gets the whole body again; after `stream()` has been read to its end it gets an empty one,
    so that it does not wait for ever; otherwise it gets what is still to come.
    """

    def __init__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        super().__init__(scope, receive, send)
        self._passed_disconnect = False
        self._passed_body = False

    async def wrapped_receive(self) -> "Message":
        """Return the next message for the rest of the chain."""
        if self._passed_disconnect:
            return {"type": _DISCONNECT}
        if self._passed_body:
            if not self._is_disconnected:
                message = await self.receive()
                if message["type"] != _DISCONNECT:
                    raise RuntimeError(f"Unexpected message received: {message['type']}")
            self._passed_disconnect = True
            return {"type": _DISCONNECT}
        whole = getattr(self, "_body", None)
        if whole is None and self._stream_consumed:
            whole = b""
        if whole is not None:
            self._passed_body = True
            return {"type": "http.request", "body": whole, "more_body": False}
        stream = self.stream()
        try:
            chunk = await anext(stream)
        except ClientDisconnect:
            self._passed_disconnect = True
            return {"type": _DISCONNECT}
        finally:
            await stream.aclose()
        self._passed_body = self._stream_consumed
        return {"type": "http.request", "body": chunk, "more_body": not self._stream_consumed}


class _Downstream:
    """One run of the rest of the chain in a task of its own, its messages handed over one at a time."""

    def __init__(self, app: "ASGIApp", request: _CachedRequest, send: "Send") -> None:
        self.app = app
        self.request = request
        self.send_upstream = send
        self.finished = anyio.Event()
        self.error: Exception | None = None
        self.error_raised = False
        self.tx, self.rx = anyio.create_memory_object_stream[Message]()
        self.variables_before = contextvars.copy_context()
        self.variables: contextvars.Context | None = None

    def finish(self) -> None:
        """Tell the rest of the chain that the response is out: whatever else it sends goes nowhere."""
        self.finished.set()
        self.rx.close()

    def close(self) -> None:
        self.tx.close()
        self.rx.close()

    async def run(self) -> None:
        with self.tx:
            try:
                await self.app(self.request.scope, self._receive, self._send)
            except Exception as exc:
                self.error = exc
            finally:
                self.variables = contextvars.copy_context()

    async def _receive(self) -> "Message":
        """Return what the client sends, or a disconnect as soon as the response is out."""
        message: Message = {"type": _DISCONNECT}
        if self.finished.is_set():
            return message
        async with anyio.create_task_group() as racers:

            async def wait_for_client() -> None:
                nonlocal message
                message = await self.request.wrapped_receive()
                racers.cancel_scope.cancel()

            async def wait_for_end() -> None:
                await self.finished.wait()
                racers.cancel_scope.cancel()

            racers.start_soon(wait_for_end)
            await wait_for_client()
        return {"type": _DISCONNECT} if self.finished.is_set() else message

    async def _send(self, message: "Message") -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self.variables = contextvars.copy_context()
        try:
            await self.tx.send(message)
        except anyio.BrokenResourceError:
            return
        is_last = kind == "http.response.body" and not message.get("more_body", False)
        if is_last or kind == "http.response.pathsend":
            # What follows, a background task for one, waits until the client has the response.
            await self.finished.wait()

    def adopt_variables(self) -> None:
        """Set in this context what the rest of the chain has set in its own."""
        if self.variables is None:
            return
        before, self.variables_before, self.variables = self.variables_before, self.variables, None
        for variable, value in self.variables_before.items():
            if before.get(variable, _UNSET) is not value:
                variable.set(value)

    async def response(self) -> "_StreamingResponse":
        """Wait for the start of a response and return it, its body to come.

        Raises:
            RuntimeError: The application ended without a response.
            Exception: Whatever the application raised.
        """
        info: Mapping[str, Any] | None = None
        try:
            while True:
                message = await self.rx.receive()
                if message["type"] == "http.response.debug":
                    info = message["info"]
                elif message["type"] == "http.response.early_hint":
                    await self.send_upstream(message)
                else:
                    break
        except anyio.EndOfStream:
            self.adopt_variables()
            if self.error is None:
                raise RuntimeError("No response returned.") from None
            self.error_raised = True
            # The end of the stream is no part of the story that the traceback tells.
            raise self.error from self.error.__cause__ or self.error.__context__
        assert message["type"] == "http.response.start"
        self.adopt_variables()
        response = _StreamingResponse(self.body(), message["status"], info=info)
        response.raw_headers = message.get("headers", [])
        return response

    async def body(self) -> BodyStreamGenerator:
        async for message in self.rx:
            if message["type"] == "http.response.pathsend":
                yield message
                return
            assert message["type"] == "http.response.body", f"Unexpected message: {message}"
            if chunk := message.get("body", b""):
                yield chunk
            if not message.get("more_body", False):
                return


_UNSET: Any = object()


class BaseHTTPMiddleware:
    """Base of middleware that overrides `dispatch`; anything but HTTP passes through untouched.

    Args:
        app: The application to wrap.
        dispatch: Called instead of the method of this name. Default is None.
    """

    def __init__(self, app: "ASGIApp", dispatch: DispatchFunction | None = None) -> None:
        self.app = app
        self.dispatch_func = self.dispatch if dispatch is None else dispatch

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = _CachedRequest(scope, receive, send)
        runs: list[_Downstream] = []
        tasks: TaskGroup

        async def call_next(request_: Request) -> Response:
            run = _Downstream(self.app, request, send)
            runs.append(run)
            tasks.start_soon(run.run)
            return await run.response()

        try:
            async with create_collapsing_task_group() as tasks:
                response = await self.dispatch_func(request, call_next)
                await response(scope, request.wrapped_receive, send)
                for run in runs:
                    run.finish()
        finally:
            for run in runs:
                run.close()
        for run in runs:
            run.adopt_variables()
            if run.error is not None and not run.error_raised:
                raise run.error

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Answer `request`; `await call_next(request)` gives the response of the rest of the chain.

        Raises:
            NotImplementedError: A subclass neither overrides this nor was given `dispatch=`.
        """
        raise NotImplementedError()


class _StreamingResponse(Response):
    """What `call_next` returns: status and headers that may be changed, and a body that is still being made."""

    def __init__(
        self,
        content: AsyncContentStream,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        self.info = info
        self.body_iterator = content
        self.status_code = status_code
        self.media_type = media_type
        self.init_headers(headers)
        self.background = None

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if self.info is not None:
            await send({"type": "http.response.debug", "info": self.info})
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        ended_by_message = False
        async for chunk in self.body_iterator:
            if isinstance(chunk, dict):
                # A message that carries the body in another way (pathsend) and ends it.
                ended_by_message = True
                await send(chunk)
            else:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if not ended_by_message:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        if self.background:
            await self.background()
