"""`AuthenticationMiddleware`: asks a backend who is calling, and puts the answer into the scope.

Layer: on `authentication`, `requests`, `responses`.
Not for: FastAPI's security schemes, which are dependencies (`forzium.security`).

Source: `starlette.middleware.authentication`.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from forzium._forzium import Authentication
from forzium.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, UnauthenticatedUser
from forzium.middleware._own import Linked, native
from forzium.requests import HTTPConnection
from forzium.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Scope

__all__ = ["AuthenticationMiddleware"]

_ErrorHandler = Callable[[HTTPConnection, AuthenticationError], Response]


@native
class AuthenticationMiddleware(Linked):
    """Sets `scope["auth"]` and `scope["user"]` for HTTP and WebSocket.

    Args:
        app: The application to wrap.
        backend: Its `authenticate(conn)` gives credentials and user, or None for a caller without.
        on_error: Makes the response when the backend raises `AuthenticationError`; a WebSocket is closed instead.
            Default is the error's text with status 400.
    """

    def __init__(self, app: "ASGIApp", backend: AuthenticationBackend, on_error: _ErrorHandler | None = None) -> None:
        self.app = app
        self.backend = backend
        self.on_error: _ErrorHandler = self.default_on_error if on_error is None else on_error

    @cached_property
    def _link(self) -> Authentication:
        return Authentication(self.backend, _admit, self._refusal)

    def _refusal(self, conn: HTTPConnection, exc: AuthenticationError) -> Any:
        """Make the response for a caller who is refused, or the message that closes a WebSocket."""
        response = self.on_error(conn, exc)
        return {"type": "websocket.close", "code": 1000} if conn.scope["type"] == "websocket" else response

    @staticmethod
    def default_on_error(conn: HTTPConnection, exc: Exception) -> Response:
        """Return the error's text with status 400."""
        return PlainTextResponse(str(exc), status_code=400)


def _admit(scope: "Scope", found: "tuple[AuthCredentials, Any] | None") -> None:
    scope["auth"], scope["user"] = (AuthCredentials(), UnauthenticatedUser()) if found is None else found
