"""`ServerSessionMiddleware`: `request.session` kept by the server, in a store; the client has a signed random id.

Layer: on `middleware.sessions`, `session_stores`; itsdangerous (extra `sessions`) signs.
Not for: deciding who somebody is; a login is the application's, which calls `request.session.regenerate()` then.

Beside `SessionMiddleware`, whose cookie holds the session itself: what is kept here may be secret and large, and is
gone when the server forgets it.
"""

import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Literal

from forzium.datastructures import MutableHeaders, Secret
from forzium.middleware.sessions import TWO_WEEKS, Session
from forzium.requests import HTTPConnection

if TYPE_CHECKING:
    from forzium.session_stores import SessionStore
    from forzium.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ServerSession", "ServerSessionMiddleware"]

_RESPONSE_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")
_ID_BYTES = 32


class ServerSession(Session):
    """The dict that `request.session` is. Changes inside of its values are seen, too, once it was looked at.

    Attributes:
        session_id: Under which the store keeps it; None as long as it does not.
    """

    session_id: str | None = None
    _renewed: bool = False
    _started: bool = False

    def regenerate(self) -> None:
        """Keep it under a new id from now on, and forget the old one: at every login, and whenever rights change.

        Else somebody who knows the id from before has the session of who logged in.

        Raises:
            RuntimeError: The response has started: the client cannot be told any more.
        """
        if self._started:
            raise RuntimeError("the response has started: call request.session.regenerate() before it does")
        self._renewed = True
        self.mark_modified()


class ServerSessionMiddleware:
    """Provides `request.session` and keeps it in a store.

    A request without a valid cookie costs the store nothing; neither does a session that nobody looks at, beyond being
    loaded. It is saved before the response starts, if it has changed, and at the end if it changed after that. An empty
    one is deleted. An id that the store does not know is never taken over.

    Args:
        app: The application to wrap.
        store: Where sessions are kept.
        secret_key: What the cookie is signed with.
        session_cookie: Name of the cookie. Default is `"session"`.
        max_age: Seconds for which browser and store keep it after it was saved; None for a cookie of the browser's
            session, kept by the store for two weeks. Default is two weeks.
        rolling: Whether being looked at is enough for it to be kept longer. Default is False.
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
        store: "SessionStore",
        secret_key: str | Secret,
        session_cookie: str = "session",
        max_age: int | None = TWO_WEEKS,
        rolling: bool = False,
        path: str = "/",
        same_site: Literal["lax", "strict", "none"] = "lax",
        https_only: bool = False,
        domain: str | None = None,
        partitioned: bool = False,
    ) -> None:
        import itsdangerous

        self.app = app
        self.store = store
        self.signer = itsdangerous.Signer(str(secret_key), salt="forzium.server_sessions", digest_method=hashlib.sha256)
        self.session_cookie = session_cookie
        self.max_age = max_age
        self.rolling = rolling
        self.path = path
        flags = [f"httponly; samesite={same_site}"]
        if https_only:
            flags.append("secure")
        if domain is not None:
            flags.append(f"domain={domain}")
        if partitioned:
            flags.append("partitioned")
        self.security_flags = "; ".join(flags)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        session, text = await self._load(HTTPConnection(scope).cookies.get(self.session_cookie))
        scope["session"] = session

        async def send_with_cookie(message: "Message") -> None:
            nonlocal text
            if message["type"] in _RESPONSE_STARTS:
                message.setdefault("headers", [])
                text = await self._write(session, text, MutableHeaders(scope=message))
                session._started = True
            await send(message)

        await self.app(scope, receive, send_with_cookie)
        if session._started and session.session_id is not None:
            await self._write(session, text, MutableHeaders())

    async def _load(self, cookie: str | None) -> tuple[ServerSession, str]:
        """Return the session that a cookie names, and the text it was kept as; an empty one for any other cookie."""
        from itsdangerous.exc import BadSignature

        if cookie is None:
            return ServerSession(), ""
        try:
            session_id = self.signer.unsign(cookie.encode("utf-8")).decode("ascii")
        except (BadSignature, UnicodeError):
            return ServerSession(), ""
        text = await self.store.load(session_id)
        try:
            session = ServerSession({} if text is None else json.loads(text))
        except (ValueError, TypeError):
            return ServerSession(), ""  # not of this middleware's making
        if text is None:
            return session, ""
        session.session_id = session_id
        return session, text

    async def _write(self, session: ServerSession, before: str, headers: MutableHeaders) -> str:
        """Bring the store up to date, and the cookie with it. Returns the text that is kept now."""
        if session.accessed:
            headers.add_vary_header("Cookie")
        elif not session.modified:
            return before
        old = session.session_id
        if not session:
            if old is not None:
                await self.store.delete(old)
                session.session_id = None
                self._set_cookie(headers, "null", "expires=Thu, 01 Jan 1970 00:00:00 GMT; ")
            return ""
        text = json.dumps(session)
        if text == before and not session._renewed:
            if not self.rolling or session._started or old is None:
                return before
            await self.store.touch(old, self._seconds)
        else:
            if old is None or session._renewed:
                session.session_id = secrets.token_urlsafe(_ID_BYTES)
                session._renewed = False
            assert session.session_id is not None
            await self.store.save(session.session_id, text, self._seconds)
            if old is not None and old != session.session_id:
                await self.store.delete(old)
        lasting = "" if self.max_age is None else f"Max-Age={self.max_age}; "
        self._set_cookie(headers, self.signer.sign(session.session_id or "").decode("ascii"), lasting)
        return text

    @property
    def _seconds(self) -> int:
        return TWO_WEEKS if self.max_age is None else self.max_age

    def _set_cookie(self, headers: MutableHeaders, value: str, lasting: str) -> None:
        headers.append("Set-Cookie", f"{self.session_cookie}={value}; path={self.path}; {lasting}{self.security_flags}")
