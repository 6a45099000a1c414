"""`TrustedHostMiddleware`: refuses requests whose Host header names another site.

Layer: on `_utils`, `datastructures`, `responses`; the rules are the core's
(`rust/forzium-py/src/middleware/trusted_host.rs`), but for hosts that are not plainly a name.
Not for: routing by host; that is the `Host` route.

Source: `starlette.middleware.trustedhost`.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from forzium._forzium import TrustedHost
from forzium._utils import parse_host_header
from forzium.datastructures import URL
from forzium.middleware._own import Linked, native
from forzium.responses import PlainTextResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Scope

__all__ = ["ENFORCE_DOMAIN_WILDCARD", "TrustedHostMiddleware"]

ENFORCE_DOMAIN_WILDCARD = "Domain wildcard patterns must be like '*.example.com'."


@native
class TrustedHostMiddleware(Linked):
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

    @cached_property
    def _link(self) -> TrustedHost:
        return TrustedHost(self, _name, self._refusal)

    def _refusal(self, scope: "Scope", host: str | None) -> Response:
        """Answer a request to a host (None: its header names none) that is not allowed."""
        if self.www_redirect and host is not None and f"www.{host}" in self.allowed_hosts:
            url = URL(scope=scope)
            return RedirectResponse(str(url.replace(netloc=f"www.{url.netloc}")))
        return PlainTextResponse("Invalid host header", status_code=400)


def _name(header: str | None) -> str | None:
    parsed = parse_host_header(header)
    return None if parsed is None else parsed.host.lower()
