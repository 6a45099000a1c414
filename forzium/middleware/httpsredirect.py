"""`HTTPSRedirectMiddleware`: sends clients that came by http or ws to https or wss.

Layer: on `datastructures`, `responses`.
Not for: telling whether a proxy in front spoke https; the server sets the scheme from the proxy's headers.

Source: `starlette.middleware.httpsredirect`.
"""

from functools import cached_property
from typing import TYPE_CHECKING

from forzium._forzium import HttpsRedirect
from forzium.datastructures import URL
from forzium.middleware._own import Linked, native
from forzium.responses import PlainTextResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Scope

__all__ = ["HTTPSRedirectMiddleware"]

_SECURE = {"http": "https", "ws": "wss"}
_DEFAULT_PORTS = (80, 443)


@native
class HTTPSRedirectMiddleware(Linked):
    """Answers 307 with the same URL in the secure scheme; a port is kept unless it is 80 or 443.

    A host header that makes no URL is answered with 400.

    Args:
        app: The application to wrap.
    """

    def __init__(self, app: "ASGIApp") -> None:
        self.app = app

    @cached_property
    def _link(self) -> HttpsRedirect:
        return HttpsRedirect(_redirect)


def _redirect(scope: "Scope") -> Response:
    url = URL(scope=scope)
    if not url.netloc:
        return PlainTextResponse("Invalid host header", status_code=400)
    return RedirectResponse(url.replace(scheme=_SECURE[url.scheme], netloc=_authority(url)), 307)


def _authority(url: URL) -> str:
    host = url.hostname
    if url.port not in _DEFAULT_PORTS or host is None:
        return url.netloc
    # An IPv6 address loses its brackets when it is taken out of the URL (RFC 3986, 3.2.2).
    return f"[{host}]" if ":" in host else host
