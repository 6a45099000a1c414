"""URLs of requests and of routes.

Layer: `forzium.datastructures`, on `forzium._utils` and Rust's reading of scopes.
Not for: query strings as dictionaries (`multidict`), nor finding a route's path (`forzium.routing`).

Source: `starlette.datastructures`; RFC 3986; ASGI (`scheme`, `server`, `path`, `query_string`).
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

from forzium._forzium import plain_url
from forzium._utils import parse_host_header
from forzium.datastructures.multidict import MultiDict
from forzium.types import Scope

__all__ = ["URL", "Address", "URLPath"]

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_ASCII = "".join(map(chr, range(128)))


class Address(NamedTuple):
    """One end of a connection: `host` and `port`."""

    host: str
    port: int


class URL:
    """A URL that can be read in parts and copied with changes. It equals the text of itself.

    Args:
        url: The URL as text. Default is "".
        scope: An ASGI scope to take the URL of. A `Host` header that is no host is left out of account; then the
            server's own name stands.
        **components: Parts to build from, as `replace` takes them.

    Source: `starlette.datastructures.URL`.
    """

    _url: str
    _is_plain: bool = False
    _components: SplitResult

    def __init__(self, url: str = "", scope: Scope | None = None, **components: Any) -> None:
        if scope is not None:
            assert not url, 'Cannot set both "url" and "scope".'
            assert not components, 'Cannot set both "scope" and "**components".'
            self._read(scope)
            return
        if components:
            assert not url, 'Cannot set both "url" and "**components".'
            url = URL("").replace(**components).components.geturl()
        self._url = url

    def _read(self, scope: Scope) -> None:
        if (url := plain_url(scope)) is not None:
            self._url = url
            self._is_plain = True
            return
        scheme: str = scope.get("scheme", "http")
        path: str = scope["path"].replace("?", "%3F").replace("#", "%23").replace("\\", "%5C")
        raw_query: bytes = scope.get("query_string", b"")
        try:
            query = raw_query.decode()
        except UnicodeDecodeError:  # shown percent-encoded, as it should have been sent
            query = quote(raw_query, safe=_ASCII)
        host: str | None = None
        for name, value in scope["headers"]:
            if name == b"host":
                host = value.decode("latin-1")
                break
        authority = _authority(host, scope.get("server"), scheme)
        if authority is None:
            # The authority is unknown. Two slashes at the start would make one of the path.
            if path.startswith("//"):
                path = f"/%2F{path[2:]}"
            self._url = f"{path}?{query}" if query else path
        else:
            self._url = SplitResult(scheme, authority, path, query, "").geturl()

    @property
    def components(self) -> SplitResult:
        """The parts, as `urllib.parse.urlsplit` gives them."""
        known: SplitResult | None = getattr(self, "_components", None)
        if known is None:
            # `urlsplit` removes tabs and line breaks, and finds a fragment where a server let one through.
            if self._is_plain and self._url.isprintable() and "#" not in self._url:
                scheme, _, rest = self._url.partition("://")
                whole, _, query = rest.partition("?")
                netloc, _, path = whole.partition("/")
                known = SplitResult(scheme, netloc, f"/{path}", query, "")
            else:
                known = urlsplit(self._url)
            self._components = known
        return known

    @property
    def scheme(self) -> str:
        """`http`, `https`, `ws`, `wss`, or "" where the URL is relative."""
        return self.components.scheme

    @property
    def netloc(self) -> str:
        """User, host and port, as they stand in the URL."""
        return self.components.netloc

    @property
    def path(self) -> str:
        """The path, still percent-encoded where it was."""
        return self.components.path

    @property
    def query(self) -> str:
        """The query string without `?`."""
        return self.components.query

    @property
    def fragment(self) -> str:
        """What follows `#`."""
        return self.components.fragment

    @property
    def username(self) -> str | None:
        """The user name, None where absent."""
        return self.components.username

    @property
    def password(self) -> str | None:
        """The password, None where absent."""
        return self.components.password

    @property
    def hostname(self) -> str | None:
        """The host in lower case without brackets, None where absent."""
        return self.components.hostname

    @property
    def port(self) -> int | None:
        """The port if the URL names one.

        Raises:
            ValueError: The port is no number or out of range.
        """
        return self.components.port

    @property
    def is_secure(self) -> bool:
        """Whether the scheme is `https` or `wss`."""
        return self.scheme in ("https", "wss")

    def replace(self, **kwargs: Any) -> "URL":
        """Copy the URL with other parts.

        Args:
            **kwargs: `scheme`, `netloc`, `path`, `query`, `fragment`; or, instead of `netloc`, single ones of
                `username`, `password`, `hostname`, `port`, where None removes one. An IPv6 address gets its brackets.

        Source: `starlette.datastructures.URL.replace`.
        """
        if not kwargs.keys().isdisjoint(("username", "password", "hostname", "port")):
            host = kwargs.pop("hostname", None)
            port = kwargs.pop("port", self.port)
            username = kwargs.pop("username", self.username)
            password = kwargs.pop("password", self.password)
            netloc = _host_of(self.netloc) if host is None else _bracketed(host)
            if port is not None:
                netloc = f"{netloc}:{port}"
            if username is not None:
                user = username if password is None else f"{username}:{password}"
                netloc = f"{user}@{netloc}"
            kwargs["netloc"] = netloc
        return type(self)(self.components._replace(**kwargs).geturl())

    def include_query_params(self, **kwargs: Any) -> "URL":
        """Copy the URL with these query parameters set; others stay."""
        params = self._params()
        params.update({key: str(value) for key, value in kwargs.items()})
        return self.replace(query=urlencode(params.multi_items()))

    def replace_query_params(self, **kwargs: Any) -> "URL":
        """Copy the URL with these query parameters and no others."""
        return self.replace(query=urlencode([(key, str(value)) for key, value in kwargs.items()]))

    def remove_query_params(self, keys: str | Sequence[str]) -> "URL":
        """Copy the URL without the query parameters of one name, or of several."""
        params = self._params()
        for key in [keys] if isinstance(keys, str) else keys:
            params.pop(key)
        return self.replace(query=urlencode(params.multi_items()))

    def _params(self) -> MultiDict:
        return MultiDict(parse_qsl(self.query, keep_blank_values=True))

    def __eq__(self, other: Any) -> bool:
        return str(self) == str(other)

    def __str__(self) -> str:
        return self._url

    def __repr__(self) -> str:
        shown = self.replace(password="********") if self.password else self  # noqa: S106
        return f"{type(self).__name__}({str(shown)!r})"


def url_of(scope: Scope) -> URL:
    """Make the `URL` of a scope, past a constructor that takes other things, too."""
    url = object.__new__(URL)
    url._read(scope)
    return url


def _authority(host_header: str | None, server: Any, scheme: str) -> str | None:
    """Give host and port to show: the client's, else the server's, else None."""
    parsed = parse_host_header(host_header)
    if parsed is not None and parsed.is_valid_port:
        return parsed.authority
    if server is None:
        return None
    host, port = server
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return host if port == _DEFAULT_PORTS.get(scheme) else f"{host}:{port}"


def _host_of(netloc: str) -> str:
    """Take user and port off."""
    host = netloc.rpartition("@")[2]
    return host if host.endswith("]") else host.rsplit(":", 1)[0]


def _bracketed(host: str) -> str:
    """Put an IPv6 address into brackets; other hosts stay as they are."""
    if ":" not in host or host.startswith("["):
        return host
    from ipaddress import IPv6Address

    try:
        IPv6Address(host)
    except ValueError:
        return host
    return f"[{host}]"


class URLPath(str):
    """The path of a route, with the protocol and the host it asks for.

    Args:
        path: The path. Backslashes and a second slash at its start are percent-encoded, so that it stays a path.
        protocol: `http`, `websocket`, or "" for that of the base URL.
        host: A host, or "" for that of the base URL.

    Source: `starlette.datastructures.URLPath`.
    """

    def __new__(cls, path: str, protocol: Literal["http", "websocket", ""] = "", host: str = "") -> "URLPath":
        assert protocol in ("http", "websocket", "")
        path = path.replace("\\", "%5C")
        return str.__new__(cls, f"/%2F{path[2:]}" if path.startswith("//") else path)

    def __init__(self, path: str, protocol: Literal["http", "websocket", ""] = "", host: str = "") -> None:
        self.protocol = protocol
        self.host = host

    def make_absolute_url(self, base_url: str | URL) -> URL:
        """Put the path behind a base URL. A secure base keeps the result secure."""
        base = URL(base_url) if isinstance(base_url, str) else base_url
        scheme = base.scheme
        if self.protocol:
            plain = "http" if self.protocol == "http" else "ws"
            scheme = f"{plain}s" if base.is_secure else plain
        return URL(scheme=scheme, netloc=self.host or base.netloc, path=base.path.rstrip("/") + str(self))
