"""`CORSMiddleware`: tells browsers which other origins may read the application's answers.

Layer: on `datastructures`, `responses`.
Not for: refusing requests: whether a cross-origin answer may be read is the browser's decision, made on these headers.

Source: `starlette.middleware.cors`; the Fetch standard, "HTTP-network-or-cache fetch" and "CORS protocol".
"""

import re
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from forzium.datastructures import Headers, MutableHeaders
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
_ALLOW_PRIVATE_NETWORK = "Access-Control-Allow-Private-Network"
_PREFLIGHT_VARY = (
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network"
)


class CORSMiddleware:
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

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_headers = Headers(scope=scope)
        is_preflight = (
            scope["method"] == "OPTIONS"
            and "origin" in request_headers
            and "access-control-request-method" in request_headers
        )
        if is_preflight:
            await self.preflight_response(request_headers=request_headers)(scope, receive, send)
        else:
            await self.simple_response(scope, receive, send, request_headers=request_headers)

    def is_allowed_origin(self, origin: str) -> bool:
        """Tell whether answers may be read from `origin`."""
        if self.allow_all_origins or origin in self.allow_origins:
            return True
        return self.allow_origin_regex is not None and self.allow_origin_regex.fullmatch(origin) is not None

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight request: 200, or 400 with what is not allowed, which tells a developer more."""
        origin = request_headers["origin"]
        asked_headers = request_headers.get("access-control-request-headers")
        answer = dict(self.preflight_headers)
        refused: list[str] = []
        if not self.is_allowed_origin(origin=origin):
            refused.append("origin")
        elif self.preflight_explicit_allow_origin:
            answer[_ALLOW_ORIGIN] = origin
        if request_headers["access-control-request-method"] not in self.allow_methods:
            refused.append("method")
        if asked_headers is not None:
            if self.allow_all_headers:
                answer[_ALLOW_HEADERS] = asked_headers
            elif any(name.strip() not in self.allow_headers for name in asked_headers.lower().split(",")):
                refused.append("headers")
        if "access-control-request-private-network" in request_headers:
            if self.allow_private_network:
                answer[_ALLOW_PRIVATE_NETWORK] = "true"
            else:
                refused.append("private-network")
        if refused:
            return PlainTextResponse("Disallowed CORS " + ", ".join(refused), status_code=400, headers=answer)
        return PlainTextResponse("OK", status_code=200, headers=answer)

    async def simple_response(self, scope: "Scope", receive: "Receive", send: "Send", request_headers: Headers) -> None:
        """Run the application, with the headers added to its response."""
        await self.app(scope, receive, partial(self.send, send=send, request_headers=request_headers))

    async def send(self, message: "Message", send: "Send", request_headers: Headers) -> None:
        """Send a message of the application, the start of a response with its headers added."""
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            origin = request_headers.get("Origin")
            if origin is None:
                self._vary_by_origin(headers)
            else:
                headers.update(self.simple_headers)
                explicit = self.allow_credentials if self.allow_all_origins else self.is_allowed_origin(origin=origin)
                if explicit:
                    self.allow_explicit_origin(headers, origin)
                else:
                    self._vary_by_origin(headers)
        await send(message)

    @staticmethod
    def _vary_by_origin(headers: MutableHeaders) -> None:
        headers["Vary"] = ", ".join([*headers.getlist("Vary"), "Origin"])

    @staticmethod
    def allow_explicit_origin(headers: MutableHeaders, origin: str) -> None:
        """Allow this origin by its name, and say that the answer differs by origin."""
        headers[_ALLOW_ORIGIN] = origin
        CORSMiddleware._vary_by_origin(headers)
