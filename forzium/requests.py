"""The request, and what it shares with the WebSocket.

Layer: above `forzium.datastructures`. A connection only stores what the server gave; each property is worked out when
it is first asked for.
Not for: parsing forms (`forzium.formparsers`), nor taking parameters out of requests (`forzium.dependencies`).

Source: `starlette.requests`; ASGI HTTP 2.x.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, NoReturn, cast

from typing_extensions import TypeVar

from forzium._forzium import form_kind, parse_cookies
from forzium._utils import AwaitableOrContextManager, AwaitableOrContextManagerWrapper
from forzium.datastructures import URL, Address, FormData, Headers, QueryParams, State
from forzium.datastructures.headers import headers_of
from forzium.datastructures.multidict import query_params_of
from forzium.datastructures.url import url_of
from forzium.json import loads
from forzium.types import Message, Receive, Scope, Send

if TYPE_CHECKING:
    from forzium.formparsers import FormParser, MultiPartParser

__all__ = ["ClientDisconnect", "HTTPConnection", "Request", "cookie_parser", "empty_receive", "empty_send"]

MAX_FORM_FILES = 1000
"""Files a form may hold unless the caller says otherwise; each one costs a temporary file."""
MAX_FORM_FIELDS = 1000
"""Fields a form may hold unless the caller says otherwise."""
MAX_FORM_PART_SIZE = 1024 * 1024
"""Bytes a field of a form may hold unless the caller says otherwise; fields, unlike files, are kept in memory."""

SERVER_PUSH_HEADERS_TO_COPY = {"accept", "accept-encoding", "accept-language", "cache-control", "user-agent"}
"""Headers of the request which a pushed request repeats."""


class ClientDisconnect(Exception):
    """The client went away before its body was read."""


def cookie_parser(cookie_string: str) -> dict[str, str]:
    """Split a `Cookie` header into names and values, as leniently as browsers do.

    A piece without `=` is a value without a name; quotes around a value are taken off; of equal names the last one
    counts.

    Source: `starlette.requests.cookie_parser`; RFC 6265, 5.4.
    """
    return parse_cookies(cookie_string)


StateT = TypeVar("StateT", bound=Mapping[str, Any] | State, default=State)


class HTTPConnection(Mapping[str, Any], Generic[StateT]):
    """What a request and a WebSocket have in common: the ASGI scope, as a mapping and in readable form.

    A connection equals itself only.

    Args:
        scope: An ASGI scope of type `http` or `websocket`.
        receive: Ignored here.

    Source: `starlette.requests.HTTPConnection`.
    """

    scope: Scope
    _url: URL
    _base_url: URL
    _headers: Headers
    _query_params: QueryParams
    _cookies: dict[str, str]
    _state: Any

    def __init__(self, scope: Scope, receive: Receive | None = None) -> None:
        assert scope["type"] in ("http", "websocket")
        self.scope = scope

    def __getitem__(self, key: str) -> Any:
        return self.scope[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scope)

    def __len__(self) -> int:
        return len(self.scope)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def app(self) -> Any:
        """The application that answers."""
        return self.scope["app"]

    @property
    def url(self) -> URL:
        """The URL the client asked for."""
        if (url := getattr(self, "_url", None)) is None:
            url = self._url = url_of(self.scope)
        return url

    @property
    def base_url(self) -> URL:
        """The URL of the outermost application, with a slash at its end: what `url_for` builds on."""
        if (url := getattr(self, "_base_url", None)) is None:
            scope = self.scope
            # Inside a mount `root_path` has grown; `app_root_path` is what the server gave.
            path = scope.get("app_root_path", scope.get("root_path", ""))
            base = {"path": path if path.endswith("/") else f"{path}/", "headers": scope["headers"]}
            base |= {key: scope[key] for key in ("scheme", "server") if key in scope}
            url = self._base_url = URL(scope=base)
        return url

    @property
    def headers(self) -> Headers:
        """The headers."""
        if (headers := getattr(self, "_headers", None)) is None:
            headers = self._headers = headers_of(self.scope)
        return headers

    @property
    def query_params(self) -> QueryParams:
        """The parameters of the query string."""
        if (params := getattr(self, "_query_params", None)) is None:
            params = self._query_params = query_params_of(self.scope["query_string"])
        return params

    @property
    def path_params(self) -> dict[str, Any]:
        """The parameters of the path, converted; empty before a route has matched."""
        params: dict[str, Any] = self.scope.get("path_params", {})
        return params

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies; of equal names the last one counts."""
        if (cookies := getattr(self, "_cookies", None)) is None:
            cookies = self._cookies = {}
            for header in self.headers.getlist("cookie"):
                cookies.update(cookie_parser(header))
        return cookies

    @property
    def client(self) -> Address | None:
        """The client's end of the connection, None where the server does not say."""
        client = self.scope.get("client")
        return None if client is None else Address(*client)

    @property
    def session(self) -> dict[str, Any]:
        """The session.

        Raises:
            AssertionError: `SessionMiddleware` is not installed.
        """
        assert "session" in self.scope, "SessionMiddleware must be installed to access request.session"
        session: dict[str, Any] = self.scope["session"]
        # Sessions of other people's middleware may be plain dictionaries.
        if (mark_accessed := getattr(session, "mark_accessed", None)) is not None:
            mark_accessed()
        return session

    @property
    def auth(self) -> Any:
        """What the client may do.

        Raises:
            AssertionError: `AuthenticationMiddleware` is not installed.
        """
        assert "auth" in self.scope, "AuthenticationMiddleware must be installed to access request.auth"
        return self.scope["auth"]

    @property
    def user(self) -> Any:
        """Who the client is.

        Raises:
            AssertionError: `AuthenticationMiddleware` is not installed.
        """
        assert "user" in self.scope, "AuthenticationMiddleware must be installed to access request.user"
        return self.scope["user"]

    @property
    def state(self) -> StateT:
        """State of this request, on top of what the lifespan gave; shared by all who hold the scope."""
        if (state := getattr(self, "_state", None)) is None:
            state = self._state = State(self.scope.setdefault("state", {}))
        return cast(StateT, state)

    def url_for(self, name: str, /, **path_params: Any) -> URL:
        """Build the URL of a route from its name and its path parameters.

        Raises:
            RuntimeError: The connection has not come through a router.
            NoMatchFound: No route has this name and these parameters.

        Source: `starlette.requests.HTTPConnection.url_for`.
        """
        provider = self.scope.get("router") or self.scope.get("app")
        if provider is None:
            raise RuntimeError("The `url_for` method can only be used inside a Starlette application or with a router.")
        url: URL = provider.url_path_for(name, **path_params).make_absolute_url(base_url=self.base_url)
        return url


async def empty_receive() -> NoReturn:
    """Stand for the receive channel where there is none.

    Raises:
        RuntimeError: Always.
    """
    raise RuntimeError("Receive channel has not been made available")


async def empty_send(message: Message) -> NoReturn:
    """Stand for the send channel where there is none.

    Raises:
        RuntimeError: Always.
    """
    raise RuntimeError("Send channel has not been made available")


class Request(HTTPConnection[StateT]):
    """An HTTP request.

    Args:
        scope: An ASGI scope of type `http`.
        receive: Gives the messages of the body. Default refuses.
        send: Takes early hints and pushes. Default refuses.

    Source: `starlette.requests.Request`.
    """

    # Here and not in `__init__`, which runs for every request.
    _form: FormData | None = None
    _stream_consumed: bool = False
    _is_disconnected: bool = False
    _body: bytes
    _json: Any

    def __init__(self, scope: Scope, receive: Receive = empty_receive, send: Send = empty_send) -> None:
        assert scope["type"] == "http"
        self.scope = scope
        self._receive = receive
        self._send = send

    @property
    def method(self) -> str:
        """The method, in capitals."""
        return cast(str, self.scope["method"])

    @property
    def receive(self) -> Receive:
        """The receive channel."""
        return self._receive

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Give the body piece by piece as it arrives, then `b""`. A body read before is given at once.

        Raises:
            ClientDisconnect: The client went away.
            RuntimeError: The body has been streamed before, or the server sent a message that is no part of a body.

        Cancellation: pieces received so far are lost; the rest can still be streamed.
        """
        if hasattr(self, "_body"):
            yield self._body
            yield b""
            return
        self._expect_unread()
        while not self._stream_consumed:
            if piece := await self._receive_piece():
                yield piece
        yield b""

    def _expect_unread(self) -> None:
        if self._stream_consumed:
            raise RuntimeError("Stream consumed")

    async def _receive_piece(self) -> bytes:
        """Wait for one message of the body; note whether it is the last one."""
        message = await self._receive()
        kind = message["type"]
        if kind == "http.request":
            if not message.get("more_body", False):
                self._stream_consumed = True
            piece: bytes = message.get("body", b"")
            return piece
        if kind == "http.disconnect":
            self._is_disconnected = True
            raise ClientDisconnect
        raise RuntimeError(
            f"Expected ASGI message 'http.request' or 'http.disconnect', but got {kind!r} from receive()."
        )

    async def body(self) -> bytes:
        """Read the whole body, once; later calls give the same bytes.

        Raises:
            ClientDisconnect: The client went away.
            RuntimeError: The body has been streamed.
        """
        if not hasattr(self, "_body"):
            if getattr(self.stream, "__func__", None) is not Request.stream:  # a stream of someone else's
                async with aclosing(self.stream()) as stream:
                    self._body = b"".join([piece async for piece in stream])
                return self._body
            self._expect_unread()
            pieces = []
            while not self._stream_consumed:
                pieces.append(await self._receive_piece())
            self._body = b"".join(pieces)
        return self._body

    async def json(self) -> Any:
        """Read the whole body as JSON, once.

        Raises:
            json.JSONDecodeError: The body is no JSON.
            UnicodeDecodeError: The body is not in UTF-8, UTF-16 or UTF-32.
        """
        if not hasattr(self, "_json"):
            body = await self.body()
            self._json = loads(body)
        return self._json

    async def _get_form(
        self,
        *,
        max_files: int | float = MAX_FORM_FILES,
        max_fields: int | float = MAX_FORM_FIELDS,
        max_part_size: int = MAX_FORM_PART_SIZE,
    ) -> FormData:
        if self._form is None:
            kind = form_kind(self.headers.get("Content-Type", ""))
            if kind is None:
                self._form = FormData()
                return self._form
            from forzium import formparsers

            try:
                async with aclosing(self.stream()) as stream:
                    parser: FormParser | MultiPartParser
                    if kind == "multipart":
                        parser = formparsers.MultiPartParser(
                            self.headers,
                            stream,
                            max_files=max_files,
                            max_fields=max_fields,
                            max_part_size=max_part_size,
                        )
                    else:
                        parser = formparsers.FormParser(
                            self.headers, stream, max_fields=max_fields, max_part_size=max_part_size
                        )
                    self._form = await parser.parse()
            except formparsers.MultiPartException as exc:
                if "app" in self.scope:
                    from forzium.exceptions import StarletteHTTPException

                    raise StarletteHTTPException(status_code=400, detail=exc.message)
                raise
        return self._form

    def form(
        self,
        *,
        max_files: int | float = MAX_FORM_FILES,
        max_fields: int | float = MAX_FORM_FIELDS,
        max_part_size: int = MAX_FORM_PART_SIZE,
    ) -> AwaitableOrContextManager[FormData]:
        """Read the body as a form, once: `await` it, or `async with` it to have its files closed at the end.

        A body of another media type is an empty form.

        Args:
            max_files: Files allowed. Default is 1000.
            max_fields: Other fields allowed. Default is 1000.
            max_part_size: Bytes allowed in a field that is no file. Default is 1 MiB.

        Raises:
            StarletteHTTPException: Inside an application: the form is malformed or over a limit (400).
            MultiPartException: The same outside of one.

        Source: `starlette.requests.Request.form`.
        """
        return AwaitableOrContextManagerWrapper(
            self._get_form(max_files=max_files, max_fields=max_fields, max_part_size=max_part_size)
        )

    async def close(self) -> None:
        """Close the files of the form, if one was read."""
        if self._form is not None:
            await self._form.close()

    async def is_disconnected(self) -> bool:
        """Say whether the client has gone away, without waiting. A message of the body that was due is lost.

        Source: `starlette.requests.Request.is_disconnected`.
        """
        if not self._is_disconnected:
            import anyio

            with anyio.CancelScope() as scope:
                scope.cancel()
                message = await self._receive()
                self._is_disconnected = message.get("type") == "http.disconnect"
        return self._is_disconnected

    async def send_push_promise(self, path: str) -> None:
        """Ask the server to push another resource, where it can.

        Source: ASGI extension `http.response.push`.
        """
        if "http.response.push" in self.scope.get("extensions", {}):
            headers = [
                (name.encode("latin-1"), value.encode("latin-1"))
                for name in SERVER_PUSH_HEADERS_TO_COPY
                for value in self.headers.getlist(name)
            ]
            await self._send({"type": "http.response.push", "path": path, "headers": headers})

    async def send_early_hints(self, link: str, /, *additional_links: str) -> None:
        """Send `Link` headers ahead of the response, where the server can.

        Raises:
            ValueError: A link holds CR, LF or NUL, or a character outside latin-1.

        Source: ASGI extension `http.response.early_hint`; RFC 8297.
        """
        if "http.response.early_hint" in self.scope.get("extensions", {}):
            from forzium.responses.header_text import header_value

            links = [header_value(value) for value in (link, *additional_links)]
            await self._send({"type": "http.response.early_hint", "links": links})


# As written here, so that the core sees where somebody has put a function of their own.
_INIT = Request.__init__
