"""`SessionMiddleware`: a dict that lasts from request to request, kept by the client in a signed cookie.

Layer: on `datastructures`; when a session is read and written is the core's business
(`rust/forzium-py/src/middleware/sessions.rs`). itsdangerous (extra `sessions`) signs.
Not for: secrets: the client can read what the cookie holds, it only cannot change it.

Source: `starlette.middleware.sessions`.
"""

import json
from base64 import b64decode, b64encode
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

from forzium._forzium import Sessions
from forzium.datastructures import Secret
from forzium.middleware._own import Linked, native

if TYPE_CHECKING:
    from forzium.types import ASGIApp

__all__ = ["Session", "SessionMiddleware"]

TWO_WEEKS = 14 * 24 * 60 * 60
"""In seconds."""


@native
class SessionMiddleware(Linked):
    """Provides `request.session` and writes it back with the response, if it was changed.

    Args:
        app: The application to wrap.
        secret_key: What the cookie is signed with.
        session_cookie: Name of the cookie. Default is `"session"`.
        max_age: Seconds after which neither the browser nor the signature keeps it; None for a cookie of the browser's
            session. Default is two weeks.
        path: Path of the cookie. Default is `"/"`.
        same_site: `"lax"`, `"strict"` or `"none"`. Default is `"lax"`.
        https_only: Set `secure`. Default is False.
        domain: Domain of the cookie. Default is None: the host alone.
        partitioned: Set `partitioned`. Default is False.

    Raises:
        ModuleNotFoundError: itsdangerous is not installed.
    """

    def __init__(
        self,
        app: "ASGIApp",
        secret_key: str | Secret,
        session_cookie: str = "session",
        max_age: int | None = TWO_WEEKS,
        path: str = "/",
        same_site: Literal["lax", "strict", "none"] = "lax",
        https_only: bool = False,
        domain: str | None = None,
        partitioned: bool = False,
    ) -> None:
        import itsdangerous

        self.app = app
        self.signer = itsdangerous.TimestampSigner(str(secret_key))
        self.session_cookie = session_cookie
        self.max_age = max_age
        self.path = path
        flags = [f"httponly; samesite={same_site}"]
        if https_only:
            flags.append("secure")
        if domain is not None:
            flags.append(f"domain={domain}")
        if partitioned:
            flags.append("partitioned")
        self.security_flags = "; ".join(flags)

    @cached_property
    def _link(self) -> Sessions:
        return Sessions(self.session_cookie, Session, self._read, self._write)

    def _read(self, cookie: str) -> "Session | None":
        """Return the session a cookie holds; None for one that is too old or not of this middleware's making."""
        from itsdangerous.exc import BadSignature

        try:
            return Session(json.loads(b64decode(self.signer.unsign(cookie.encode("utf-8"), max_age=self.max_age))))
        except (BadSignature, ValueError, TypeError):
            # ValueError and TypeError: signed with this key, but by a program that signs something else.
            return None

    def _write(self, session: "Session", was_kept: bool) -> bytes | None:
        """Return the `Set-Cookie` for a session that was changed; None where there is nothing to keep or to forget."""
        if session:
            value = self.signer.sign(b64encode(json.dumps(session).encode("utf-8"))).decode("utf-8")
            lasting = "" if self.max_age is None else f"Max-Age={self.max_age}; "
        elif was_kept:
            value, lasting = "null", "expires=Thu, 01 Jan 1970 00:00:00 GMT; "
        else:
            return None
        cookie = f"{self.session_cookie}={value}; path={self.path}; {lasting}{self.security_flags}"
        return cookie.encode("latin-1")


class Session(dict[str, Any]):
    """The dict `request.session` is, which knows whether it was looked at and whether it was changed.

    A change inside one of its values goes unseen; assign the value again.

    Attributes:
        accessed: The response may differ with the session.
        modified: It has to be written back.
    """

    accessed: bool = False
    modified: bool = False

    def mark_accessed(self) -> None:
        """Note that it was looked at."""
        self.accessed = True

    def mark_modified(self) -> None:
        """Note that it was changed."""
        self.accessed = self.modified = True

    def __setitem__(self, key: str, value: Any) -> None:
        self.mark_modified()
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self.mark_modified()
        super().__delitem__(key)

    def __ior__(self, other: Any, /) -> Self:  # type: ignore[override,misc]
        self.mark_modified()
        return super().__ior__(other)

    def clear(self) -> None:
        self.mark_modified()
        super().clear()

    def pop(self, key: str, *default: Any) -> Any:
        if key in self:
            self.mark_modified()
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        pair = super().popitem()
        self.mark_modified()
        return pair

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self.mark_modified()
        return super().setdefault(key, default)

    def update(self, *pairs: Any, **values: Any) -> None:
        self.mark_modified()
        super().update(*pairs, **values)
