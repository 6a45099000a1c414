"""`TimeoutMiddleware`: a request that takes too long is cancelled and answered with 504.

Layer: on `_utils`, `responses`.
Not for: slow clients, whose time-outs are the server's; nor for WebSockets, which pass untouched.
"""

import math
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

import anyio

from forzium._utils import get_route_path
from forzium.responses import JSONResponse

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["TimeoutMiddleware"]


class TimeoutMiddleware:
    """Cancels what takes longer than allowed.

    The endpoint, or whatever the request waits in, is cancelled as by an `anyio.CancelScope`, and its dependencies
    clean up. A worker thread cannot be interrupted: a plain `def` endpoint runs to its end, and what it answers is
    sent, late. Background tasks are not limited.

    Args:
        app: The application to wrap.
        seconds: How long a request may take.
        until: `"start"`: until its response starts, which may then take as long as it likes, as event streams do.
            `"end"`: until its response is complete. Default is `"start"`.
        status_code: Of the answer. Default is 504; 503 is the other that fits.
        exempt: Paths that are not limited; one that ends in `*` stands for all that begin with it. Default is none.

    Raises:
        ValueError: `seconds` is not positive, or `until` is neither.
        TimeoutError: (per request, with `"end"`) the time is over after the response has started: the server has to
            break it off.
    """

    def __init__(
        self,
        app: "ASGIApp",
        seconds: float,
        until: Literal["start", "end"] = "start",
        status_code: int = 504,
        exempt: Iterable[str] = (),
    ) -> None:
        if not seconds > 0:
            raise ValueError(
                f"expected a time in seconds, but found {seconds!r}: leave the middleware out for no limit"
            )
        if until not in ("start", "end"):
            raise ValueError(f"expected 'start' or 'end', but found {until!r}")
        exempt = tuple(exempt)
        self.app = app
        self.seconds = seconds
        self.until = until
        self.status_code = status_code
        self._paths = frozenset(path for path in exempt if not path.endswith("*"))
        self._prefixes = tuple(path[:-1] for path in exempt if path.endswith("*"))

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http" or self._is_exempt(get_route_path(scope)):
            await self.app(scope, receive, send)
            return
        started = False

        async def noting_progress(message: "Message") -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if self.until == "start":
                    limit.deadline = math.inf
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                limit.deadline = math.inf

        with anyio.move_on_after(self.seconds) as limit:
            await self.app(scope, receive, noting_progress)
        if not limit.cancelled_caught:
            return
        if started:
            raise TimeoutError(
                f"{scope['method']} {scope['path']}: the response was not complete after {self.seconds} s"
            )
        response = JSONResponse({"detail": HTTPStatus(self.status_code).phrase}, status_code=self.status_code)
        await response(scope, receive, send)

    def _is_exempt(self, path: str) -> bool:
        return path in self._paths or path.startswith(self._prefixes)
