"""`AsyncExitStackMiddleware`: an `AsyncExitStack` in the scope, closed when the request is over.

Layer: on `types` alone.
Not for: dependencies, which have stacks of their own; this one closes what outlives them, the files of a form.

Source: `fastapi.middleware.asyncexitstack`.
"""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Receive, Scope, Send

__all__ = ["AsyncExitStackMiddleware"]


class AsyncExitStackMiddleware:
    """Puts a fresh exit stack into `scope[context_name]` and closes it after the application.

    Args:
        app: The application to wrap.
        context_name: Key in the scope. Default is `"fastapi_middleware_astack"`.
    """

    def __init__(self, app: "ASGIApp", context_name: str = "fastapi_middleware_astack") -> None:
        self.app = app
        self.context_name = context_name

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        async with AsyncExitStack() as exits:
            scope[self.context_name] = exits
            await self.app(scope, receive, send)
