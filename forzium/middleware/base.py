"""`BaseHTTPMiddleware`: middleware written as "take the request, call the rest, return a response".

Layer: on `_one_task` and `_rest_of_chain` beside it, which say how the two go on.
Not for: middleware that sees ASGI messages; that is a plain class with `__call__(scope, receive, send)`.

Nothing is buffered: each message of the rest of the chain is handed over when it is sent, and a background task starts
when the response has gone out. What the rest of the chain does to context variables is seen by `dispatch` from the
moment `call_next` returns, and by whatever wraps this middleware.

Source: `starlette.middleware.base`. There context variables flow in only, and there is always a second task.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from anyio import CancelScope

from forzium._utils import create_collapsing_task_group
from forzium.middleware._one_task import OneTask, where
from forzium.middleware._rest_of_chain import CachedRequest, RestOfChain, Steps, StreamedResponse
from forzium.requests import Request
from forzium.responses import Response

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from forzium.types import ASGIApp, Receive, Scope, Send

__all__ = ["BaseHTTPMiddleware", "DispatchFunction", "RequestResponseEndpoint"]

RequestResponseEndpoint = Callable[[Request], Awaitable[Response]]
DispatchFunction = Callable[[Request, RequestResponseEndpoint], Awaitable[Response]]

# Names under which others annotate what `call_next` gives.
_CachedRequest = CachedRequest
_StreamingResponse = StreamedResponse


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
        request = CachedRequest(scope, receive, send)
        here = where()
        if here is None:
            await self._apart(request, send)
        else:
            await OneTask(self, request, send, here)

    async def _apart(self, request: CachedRequest, send: "Send") -> None:
        """Do the same with a task group, where nothing is known about tasks."""
        runs: list[RestOfChain] = []
        tasks: TaskGroup

        async def call_next(_: Request) -> Response:
            run = RestOfChain(self.app, request, send)
            runs.append(run)
            scope = CancelScope()
            tasks.start_soon(_go_on, run, scope)
            try:
                return await run.response()
            except BaseException:
                # Nobody will have the response of a run that `dispatch` has stopped waiting for.
                scope.cancel()
                raise

        try:
            async with create_collapsing_task_group() as tasks:
                response = await self.dispatch_func(request, call_next)
                await response(request.scope, request.wrapped_receive, send)
                for run in runs:
                    run.finish()
        finally:
            for run in runs:
                run.close()
        for run in runs:
            run.adopt_variables()
            error, run.error = run.error, None
            try:
                if error is not None:
                    raise error
            finally:
                del error

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Answer `request`; `await call_next(request)` gives the response of the rest of the chain.

        Raises:
            NotImplementedError: A subclass neither overrides this nor was given `dispatch=`.
        """
        raise NotImplementedError()


async def _go_on(run: RestOfChain, scope: CancelScope) -> None:
    with scope:
        await Steps(run.go_on())
        if run.error is not None and not isinstance(run.error, Exception):
            error, run.error = run.error, None
            raise error
