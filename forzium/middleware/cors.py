"""`CORSMiddleware`: tells browsers which other origins may read the application's answers.

Layer: on `datastructures`, `responses`; the rules are the core's (`rust/forzium-py/src/middleware/cors.rs`).
Not for: refusing requests: whether a cross-origin answer may be read is the browser's decision, made on these headers.

Source: `starlette.middleware.cors`; the Fetch standard, "HTTP-network-or-cache fetch" and "CORS protocol".
"""

import re
from collections.abc import Collection
from functools import cached_property, partial
from typing import TYPE_CHECKING

from forzium._forzium import Chain, Cors
from forzium.datastructures import Headers, MutableHeaders
from forzium.middleware._own import Linked, native
from forzium.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ALL_METHODS", "SAFELISTED_HEADERS", "CORSMiddleware"]

ALL_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY")
"""What `"*"` stands for in `allow_methods`."""
SAFELISTED_HEADERS = {"Accept", "Accept-Language", "Content-Language", "Content-Type"}
"""Request headers every origin may send (Fetch, "CORS-safelisted request-header")."""

_ALLOW_ORIGIN = "Access-Control-Allow-Origin"
_ALLOW_METHODS = "Access-Control-Allow-Methods"
_ALLOW_HEADERS = "Access-Control-Allow-Headers"
_ALLOW_CREDENTIALS = "Access-Control-Allow-Credentials"
_PREFLIGHT_VARY = (
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network"
)


@native
class CORSMiddleware(Linked):
    """Answers preflight requests, and adds the headers of the CORS protocol to all other responses.

    Args:
        app: The application to wrap.
        allow_origins: Origins such as `"https://example.org"`, or `["*"]`. Default is none.
        allow_methods: Methods, or `["*"]` for `ALL_METHODS`. Default is `("GET",)`.
        allow_headers: Request headers beside the safelisted ones, or `["*"]`. Default is none.
        allow_credentials: Let cookies and authorization be sent. Default is False.
        allow_origin_regex: Origins which the whole pattern matches are allowed too. Default is None.
        allow_private_network: Allow requests from a public network into a private one. Default is False.
        expose_headers: Response headers that scripts may read. Default is none.
        max_age: For how many seconds a browser may keep the answer to a preflight request. Default is 600.
    """

    def __init__(
        self,
        app: "ASGIApp",
        allow_origins: Collection[str] = (),
        allow_methods: Collection[str] = ("GET",),
        allow_headers: Collection[str] = (),
        allow_credentials: bool = False,
        allow_origin_regex: str | None = None,
        allow_private_network: bool = False,
        expose_headers: Collection[str] = (),
        max_age: int = 600,
    ) -> None:
        self.app = app
        self.allow_origins = allow_origins
        self.allow_methods = ALL_METHODS if "*" in allow_methods else allow_methods
        all_headers = sorted(SAFELISTED_HEADERS.union(allow_headers))
        self.allow_headers = [name.lower() for name in all_headers]
        self.allow_all_origins = "*" in allow_origins
        self.allow_all_headers = "*" in allow_headers
        self.allow_credentials = allow_credentials
        self.allow_origin_regex = None if allow_origin_regex is None else re.compile(allow_origin_regex)
        self.allow_private_network = allow_private_network
        # A browser that sends credentials takes no "*" for an answer.
        self.preflight_explicit_allow_origin = allow_credentials or not self.allow_all_origins

        self.simple_headers: dict[str, str] = {}
        if self.allow_all_origins:
            self.simple_headers[_ALLOW_ORIGIN] = "*"
        if allow_credentials:
            self.simple_headers[_ALLOW_CREDENTIALS] = "true"
        if expose_headers:
            self.simple_headers["Access-Control-Expose-Headers"] = ", ".join(expose_headers)

        self.preflight_headers: dict[str, str] = {"Vary": _PREFLIGHT_VARY}
        if not self.preflight_explicit_allow_origin:
            self.preflight_headers[_ALLOW_ORIGIN] = "*"
        self.preflight_headers[_ALLOW_METHODS] = ", ".join(self.allow_methods)
        self.preflight_headers["Access-Control-Max-Age"] = str(max_age)
        if not self.allow_all_headers:
            self.preflight_headers[_ALLOW_HEADERS] = ", ".join(all_headers)
        if allow_credentials:
            self.preflight_headers[_ALLOW_CREDENTIALS] = "true"

    @cached_property
    def _serve(self) -> "ASGIApp":
        """What answers: the core, unless a subclass has a way of its own to answer."""
        overridden = {name for name in _METHODS if getattr(type(self), name) is not getattr(CORSMiddleware, name)}
        return self._by_methods if overridden else Chain([self._link], self.app)

    @cached_property
    def _link(self) -> Cors:
        is_own = type(self).is_allowed_origin is CORSMiddleware.is_allowed_origin
        return Cors(self, None if is_own else self.is_allowed_origin)

    async def _by_methods(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_headers = Headers(scope=scope)
        if (
            scope["method"] == "OPTIONS"
            and "origin" in request_headers
            and "access-control-request-method" in request_headers
        ):
            await self.preflight_response(request_headers=request_headers)(scope, receive, send)
        else:
            await self.simple_response(scope, receive, send, request_headers=request_headers)

    def is_allowed_origin(self, origin: str) -> bool:
        """Tell whether answers may be read from `origin`."""
        return self._link.allows(origin)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight request: 200, or 400 with what is not allowed, which tells a developer more."""
        text, status_code, headers = self._link.preflight(
            request_headers["origin"],
            request_headers["access-control-request-method"],
            request_headers.get("access-control-request-headers"),
            "access-control-request-private-network" in request_headers,
        )
        return PlainTextResponse(text, status_code=status_code, headers=headers)

    async def simple_response(self, scope: "Scope", receive: "Receive", send: "Send", request_headers: Headers) -> None:
        """Run the application, with the headers added to its response."""
        await self.app(scope, receive, partial(self.send, send=send, request_headers=request_headers))

    async def send(self, message: "Message", send: "Send", request_headers: Headers) -> None:
        """Send a message of the application, the start of a response with its headers added."""
        if message["type"] == "http.response.start":
            origin = request_headers.get("Origin")
            given = None if origin is None else origin.encode("latin-1")
            message["headers"] = self._link.dressed(message.get("headers", ()), given)
        await send(message)

    @staticmethod
    def allow_explicit_origin(headers: MutableHeaders, origin: str) -> None:
        """Allow this origin by its name, and say that the answer differs by origin."""
        headers[_ALLOW_ORIGIN] = origin
        headers.add_vary_header("Origin")


_METHODS = ("preflight_response", "simple_response", "send", "allow_explicit_origin")
