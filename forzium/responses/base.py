"""Responses whose body is known as a whole: the base class, HTML, plain text, JSON and redirects.

Stands on ``header_text`` beside it and on ``datastructures``.

The core sends instances of exactly these classes without calling them: it reads ``status_code``, ``raw_headers``,
``body`` and ``background``. These are therefore plain instance attributes, and the rules of `Response.__call__` are the
core's as well.

Not for: turning what an endpoint returned into content; that is the serialize stage's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote

from forzium.datastructures import URL, MutableHeaders
from forzium.json import dumps
from forzium.responses import header_text

if TYPE_CHECKING:
    from datetime import datetime

    from forzium.background import BackgroundTask
    from forzium.types import Message, Receive, Scope, Send

RawHeaders = list[tuple[bytes, bytes]]


class Response:
    """A response whose body is known as a whole.

    Args:
        content: The body: text (encoded by ``charset``), bytes, a memoryview, or nothing. Default is nothing.
        status_code: A three-digit status. Default is 200.
        headers: Headers to send; ``content-length`` and ``content-type`` are added where they are missing.
        media_type: Value of ``content-type``; ``text/*`` gets the charset. Default is the class's ``media_type``.
        background: A task to run after the response was sent. Default is none.

    Raises:
        ValueError: a status outside 100 to 999; CR, LF or NUL in a header or the media type; a header name that is
            not a token.

    Source: Starlette's ``Response``; RFC 9110 for what is refused.
    """

    media_type: str | None = None
    charset: str = "utf-8"

    body: bytes | memoryview
    raw_headers: RawHeaders
    _headers: MutableHeaders

    def __init__(
        self,
        content: Any = None,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        self.status_code = status_code
        if media_type is not None:
            self.media_type = media_type
        self.background = background
        self.body = self.render(content)
        self.init_headers(headers)

    def render(self, content: Any) -> bytes | memoryview:
        """Turn the content into the bytes of the body. Subclasses override this."""
        if content is None:
            return b""
        if isinstance(content, bytes):
            return content
        if isinstance(content, memoryview):
            return content.cast("B") if content.c_contiguous else content.tobytes()
        return cast(bytes, content.encode(self.charset))

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Set ``raw_headers`` from the given headers, the body and the media type.

        The length written is always that of the body: a ``content-length`` given beside a body is replaced.
        """
        status_code = self.status_code
        if not 100 <= status_code <= 999:
            require_status(status_code)
        raw_headers: RawHeaders = []
        body = getattr(self, "body", None)
        media_type = self.media_type
        measured = body is not None and 200 <= status_code not in (204, 304)
        if headers:
            for name, value in headers.items():
                key = header_text.header_name(name)
                if key == b"content-length":
                    measured = False
                    if body:
                        value = str(len(body))
                elif key == b"content-type":
                    media_type = None
                raw_headers.append((key, header_text.header_value(value)))
        if measured:
            raw_headers.append((b"content-length", b"%d" % len(body)))  # type: ignore[arg-type]
        if media_type is not None:
            raw_headers.append(header_text.content_type(media_type, self.charset))
        self.raw_headers = raw_headers

    @property
    def headers(self) -> MutableHeaders:
        """The headers, for reading and changing; a view of ``raw_headers``."""
        try:
            return self._headers
        except AttributeError:
            self._headers = _OutgoingHeaders(raw=self.raw_headers)
            return self._headers

    def set_cookie(
        self,
        key: str,
        value: str = "",
        max_age: int | None = None,
        expires: datetime | str | int | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: Literal["lax", "strict", "none"] | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Add a ``Set-Cookie`` header.

        Args:
            key: Name of the cookie.
            value: Its value; quoted where it has to be. Default is "".
            max_age: Life time in seconds. Default is the session.
            expires: End of life: seconds from now, an aware UTC datetime, or an HTTP date. Default is the session.
            path: Path below which the cookie is sent. Default is "/".
            domain: Domain it is sent to. Default is the host that set it.
            secure: Send it over HTTPS only. Default is false.
            httponly: Hide it from scripts. Default is false.
            samesite: "lax", "strict", "none", or ``None`` to say nothing. Default is "lax".
            partitioned: Keep it per top-level site; needs Python 3.14. Default is false.

        Raises:
            http.cookies.CookieError: the name is not a cookie name.
            ValueError: an attribute would end early (control character or ``;``); ``partitioned`` before Python 3.14.
        """
        if samesite is not None:
            assert samesite.lower() in ("strict", "lax", "none"), "samesite must be either 'strict', 'lax' or 'none'"
        if partitioned:
            import sys

            if sys.version_info < (3, 14):
                raise ValueError("Partitioned cookies are only supported in Python 3.14 and above.")
        text = header_text.cookie(
            key,
            value,
            domain=domain,
            expires=expires,
            httponly=httponly,
            max_age=max_age,
            partitioned=partitioned,
            path=path,
            samesite=samesite,
            secure=secure,
        )
        self.raw_headers.append((b"set-cookie", text))

    def delete_cookie(
        self,
        key: str,
        path: str = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: Literal["lax", "strict", "none"] | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Add a ``Set-Cookie`` header that makes the client forget the cookie; attributes as it was set with."""
        self.set_cookie(
            key,
            max_age=0,
            expires=0,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )

    def _wrap_websocket_denial_send(self, send: Send) -> Send:
        async def send_denial(message: Message) -> None:
            kind = message["type"]
            if kind in ("http.response.start", "http.response.body"):
                message = {**message, "type": f"websocket.{kind}"}
            await send(message)

        return send_denial

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, then run the background task.

        What is sent is framed as HTTP asks, whatever was done to the attributes since: no body with 1xx, 204 and 304,
        no length with 1xx and 204, and a declared length that is the body's (answers to HEAD may declare another).
        """
        if scope["type"] == "websocket":
            send = self._wrap_websocket_denial_send(send)
        headers, body = framed(self, scope.get("method") == "HEAD")
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        if self.background is not None:
            await self.background()


class _OutgoingHeaders(MutableHeaders):
    """The headers of a response: what is put in is checked as it would be in the constructor."""

    def __setitem__(self, key: str, value: str) -> None:
        header_text.require_header(key, value)
        super().__setitem__(key, value)

    def setdefault(self, key: str, value: str) -> str:
        header_text.require_header(key, value)
        return super().setdefault(key, value)

    def append(self, key: str, value: str) -> None:
        header_text.require_header(key, value)
        super().append(key, value)

    def __repr__(self) -> str:
        return super().__repr__().replace(type(self).__name__, "MutableHeaders", 1)


def require_status(status_code: int) -> None:
    if not 100 <= status_code <= 999:
        raise ValueError(f"expected a status code from 100 to 999, but found {status_code!r}")


def has_no_content(status_code: int) -> bool:
    return status_code < 200 or status_code in (204, 304)


def framed(response: Response, is_head: bool) -> tuple[RawHeaders, bytes | memoryview]:
    """Give headers and body as HTTP frames them. Source: RFC 9110, 6.4.1, 8.6, 15."""
    status_code, headers, body = response.status_code, response.raw_headers, response.body
    require_status(status_code)
    if has_no_content(status_code):
        return (headers if status_code == 304 else with_length(headers, None)), b""
    length = b"%d" % len(body)
    declared = [value for name, value in headers if name == b"content-length"]
    if not declared or declared == [length] or is_head:
        return headers, body
    return with_length(headers, length), body


def with_length(headers: RawHeaders, length: bytes | None) -> RawHeaders:
    """Give the headers with this ``content-length`` in place of any other, or with none."""
    kept = [header for header in headers if header[0] != b"content-length"]
    if length is not None:
        kept.append((b"content-length", length))
    return kept


class HTMLResponse(Response):
    """A `Response` of HTML."""

    media_type = "text/html"


class PlainTextResponse(Response):
    """A `Response` of plain text."""

    media_type = "text/plain"


class JSONResponse(Response):
    """A `Response` whose content is written as compact JSON.

    Raises:
        ValueError: a float that is not finite, or a cycle.
        TypeError: a value JSON has no form for.
    """

    media_type = "application/json"

    def __init__(
        self,
        content: Any,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        super().__init__(content, status_code, headers, media_type, background)

    def render(self, content: Any) -> bytes:
        """Write the content as JSON, in UTF-8 and without spaces; lone surrogates are escaped."""
        try:
            return dumps(content, default=_has_no_json_form)
        except UnicodeEncodeError:
            # UTF-8 has no form for a lone surrogate that a client may have sent as \ud800; JSON's escapes do.
            import json

            return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def _has_no_json_form(obj: Any) -> Any:
    raise TypeError(f"Object of type {type(obj).__name__} is not JSON serializable")


class RedirectResponse(Response):
    """Sends the client to another URL, which is percent-encoded where it has to be. Default status is 307."""

    def __init__(
        self,
        url: str | URL,
        status_code: int = 307,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        super().__init__(content=b"", status_code=status_code, headers=headers, background=background)
        location = quote(str(url), safe=":/%#?=@[]!$&'()*+,;")
        if headers:
            self.headers["location"] = location
        else:
            self.raw_headers.append((b"location", location.encode("ascii")))
