"""`TrustedHostMiddleware`: refuses requests whose Host header names another site.

Layer: on `_utils`, `datastructures`, `responses`.
Not for: routing by host; that is the `Host` route.

Source: `starlette.middleware.trustedhost`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from forzium._utils import parse_host_header
from forzium.datastructures import URL, Headers
from forzium.responses import PlainTextResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Receive, Scope, Send

__all__ = ["ENFORCE_DOMAIN_WILDCARD", "TrustedHostMiddleware"]

ENFORCE_DOMAIN_WILDCARD = "Domain wildcard patterns must be like '*.example.com'."


class TrustedHostMiddleware:
    """Answers 400 to a host that is not allowed, for HTTP and WebSocket.

    Args:
        app: The application to wrap.
        allowed_hosts: Names without a port; `"*.example.com"` stands for all its subdomains, `"*"` for any host.
            Default is `["*"]`.
        www_redirect: Redirect `example.com` where only `www.example.com` is allowed. Default is True.

    Raises:
        AssertionError: A `*` stands elsewhere than in a leading `*.`.
    """

    def __init__(self, app: "ASGIApp", allowed_hosts: Sequence[str] | None = None, www_redirect: bool = True) -> None:
        allowed_hosts = ["*"] if allowed_hosts is None else allowed_hosts
        for pattern in allowed_hosts:
            assert pattern == "*" or "*" not in pattern.removeprefix("*."), ENFORCE_DOMAIN_WILDCARD
        self.app = app
        self.allowed_hosts = [pattern.lower() for pattern in allowed_hosts]
        self.allow_any = "*" in allowed_hosts
        self.www_redirect = www_redirect

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if self.allow_any or scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        parsed = parse_host_header(Headers(scope=scope).get("host"))
        if parsed is None:
            await self._refusal()(scope, receive, send)
            return
        host = parsed.host.lower()
        if any(self._matches(host, pattern) for pattern in self.allowed_hosts):
            await self.app(scope, receive, send)
        elif self.www_redirect and f"www.{host}" in self.allowed_hosts:
            url = URL(scope=scope)
            await RedirectResponse(str(url.replace(netloc=f"www.{url.netloc}")))(scope, receive, send)
        else:
            await self._refusal()(scope, receive, send)

    @staticmethod
    def _matches(host: str, pattern: str) -> bool:
        return host == pattern or (pattern.startswith("*") and host.endswith(pattern[1:]))

    @staticmethod
    def _refusal() -> Response:
        return PlainTextResponse("Invalid host header", status_code=400)
