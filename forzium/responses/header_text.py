"""The text of response headers: names, values, media types, cookies and dates, as the bytes that are sent.

Stands on the standard library alone. Everything here refuses what would break the framing of a response (CR, LF, NUL)
with a ``ValueError`` that shows the offending text.

Not for reading the headers a client sent: those are the server's, and taken as they are.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from time import time

_is_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_breaks_line = re.compile(r"[\r\n\0]").search
_is_plain_cookie_text = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z:]+").fullmatch
_escaped_in_cookie = re.compile(r"[\x00-\x1f\x7f-\xff\",;\\]")
_ends_cookie_attribute = re.compile(r"[\x00-\x1f\x7f;]").search
_RESERVED_COOKIE_NAMES = frozenset(
    ("comment", "domain", "expires", "httponly", "max-age", "partitioned", "path", "samesite", "secure", "version")
)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Distinct names and media types are few; the bound only keeps a caller who derives them from input from growing memory.
_REMEMBERED = 512


@lru_cache(maxsize=_REMEMBERED)
def header_name(name: str) -> bytes:
    """Give a header name in lower case, as bytes.

    Raises:
        ValueError: the name is not a token.

    Source: RFC 9110, 5.1 (field names), ASGI (names are lower case).
    """
    if _is_token(name) is None:
        raise ValueError(f"expected a header name of token characters, but found {name!r}")
    return name.lower().encode("ascii")


def header_value(value: str) -> bytes:
    """Give a header value as bytes.

    Raises:
        ValueError: the value holds CR, LF or NUL, or a character outside Latin-1.

    Source: RFC 9110, 5.5 (field values).
    """
    encoded = value.encode("latin-1")
    if not value.isprintable() and _breaks_line(value):
        raise ValueError(f"expected a header value without CR, LF and NUL, but found {value!r}")
    return encoded


def require_header(name: str, value: str) -> None:
    """Check a header that is written elsewhere; raises as `header_name` and `header_value` do."""
    header_name(name)
    header_value(value)


@lru_cache(maxsize=_REMEMBERED)
def content_type(media_type: str, charset: str) -> tuple[bytes, bytes]:
    """Give the ``content-type`` header of a media type; texts that name no charset get the response's.

    Raises:
        ValueError: the media type holds CR, LF or NUL, or a character outside Latin-1.
    """
    if media_type.startswith("text/") and "charset=" not in media_type.lower():
        media_type = f"{media_type}; charset={charset}"
    if _breaks_line(media_type):
        raise ValueError(f"expected a media type without CR, LF and NUL, but found {media_type!r}")
    return b"content-type", media_type.encode("latin-1")


def http_date(moment: float | datetime) -> str:
    """Write a moment (seconds since the epoch, or an aware UTC datetime) as an HTTP date.

    Raises:
        ValueError: a datetime that is naive, or not in UTC.

    Source: RFC 9110, 5.6.7 (IMF-fixdate).
    """
    if isinstance(moment, datetime):
        if moment.tzinfo != UTC:
            raise ValueError("usegmt option requires a UTC datetime")
    else:
        moment = datetime.fromtimestamp(moment, UTC)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02d} {month} {moment.year:04d} {moment:%H:%M:%S} GMT"


def cookie(
    name: str,
    value: str,
    *,
    domain: str | None,
    expires: datetime | str | int | None,
    httponly: bool,
    max_age: object,
    partitioned: bool,
    path: str | None,
    samesite: str | None,
    secure: bool,
) -> bytes:
    """Write the value of one ``Set-Cookie`` header, attributes in alphabetical order.

    ``expires`` as an integer counts seconds from now. An attribute that is ``None`` or empty is left out.

    Raises:
        http.cookies.CookieError: the name is reserved or holds characters a cookie name may not have.
        ValueError: an attribute holds a control character or ``;`` and would end early.

    Source: RFC 6265, 4.1; the text is the one ``http.cookies.SimpleCookie`` writes.
    """
    reserved = name.lower() in _RESERVED_COOKIE_NAMES
    if reserved or _is_plain_cookie_text(name) is None:
        from http.cookies import CookieError

        raise CookieError(f"Attempt to set a reserved key {name!r}" if reserved else f"Illegal key {name!r}")

    parts = [f"{name}={_cookie_value(str(value))}"]
    if domain is not None:
        _add_attribute(parts, "Domain", domain)
    if expires is not None:
        if isinstance(expires, datetime):
            expires = http_date(expires)
        elif isinstance(expires, int):
            expires = http_date(int(time() + expires))
        _add_attribute(parts, "expires", expires)
    if httponly:
        parts.append("HttpOnly")
    if max_age is not None:
        _add_attribute(parts, "Max-Age", int(max_age) if isinstance(max_age, int) else max_age)
    if partitioned:
        parts.append("Partitioned")
    if path is not None:
        _add_attribute(parts, "Path", path)
    if samesite is not None:
        _add_attribute(parts, "SameSite", samesite)
    if secure:
        parts.append("Secure")
    return "; ".join(parts).strip().encode("latin-1")


def _add_attribute(parts: list[str], name: str, value: object) -> None:
    text = str(value)
    if not text:
        return
    if _ends_cookie_attribute(text):
        raise ValueError(f"expected a cookie {name} without control characters and ';', but found {text!r}")
    parts.append(f"{name}={text}")


def _cookie_value(value: str) -> str:
    if _is_plain_cookie_text(value) is not None:
        return value
    return f'"{_escaped_in_cookie.sub(_escape, value)}"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return f"\\{character}" if character in '"\\' else f"\\{ord(character):03o}"
