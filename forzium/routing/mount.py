"""Routes that hand a part of the path, or a host, to another ASGI application: `Mount` and `Host`.

Stands on base and route. What is below them may be anything; a `Router` is only made for `Mount(routes=...)`.

Source: Starlette 1.10 `starlette.routing`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from forzium._utils import get_route_path, parse_host_header
from forzium.datastructures import Headers, URLPath
from forzium.routing.base import (
    BaseRoute,
    Match,
    NoMatchFound,
    PathRoute,
    below,
    compile_path,
    first_url,
    match_path,
    replace_params,
)
from forzium.routing.declaration import explained
from forzium.routing.route import limited, rooted, wrapped
from forzium.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from forzium.middleware import Middleware

__all__ = ["Host", "Mount"]


def child_name(own_name: str | None, name: str) -> str | None:
    """What is left of `name` for the routes below one called `own_name`, or `None` where it is not meant for them."""
    if own_name is None:
        return name
    head, separator, rest = name.partition(f"{own_name}:")
    return rest if separator and not head else None


class Mount(PathRoute):
    """An ASGI application below a path.

    Args:
        path: The prefix; empty or starting with a slash. A slash at its end is dropped.
        app: The application. Its scope gets a longer `root_path`.
        routes: Routes to serve instead of an application.
        name: Prefix of the names below it, `name:child`. Default is none: the names below are used as they are.
        middleware: Middleware around the application.
        max_body_size: Limit of the request body in bytes. Default is no limit.

    Raises:
        AssertionError: The path does not start with a slash, or neither `app` nor `routes` is given.
    """

    def __init__(
        self,
        path: str,
        app: ASGIApp | None = None,
        routes: Sequence[BaseRoute] | None = None,
        name: str | None = None,
        *,
        middleware: Sequence[Middleware] | None = None,
        max_body_size: int | None = None,
    ) -> None:
        if path:
            rooted(path)
        if app is None:
            if routes is None:
                raise AssertionError(
                    explained(
                        "Either 'app=...', or 'routes=' must be specified", f"write Mount({path!r}, app=...) or routes="
                    )
                )
            from forzium.routing.router import Router

            app = Router(routes=routes)
        self.path = path.rstrip("/")
        self.name = name
        self._base_app: ASGIApp = app
        self.app = limited(wrapped(app, middleware), max_body_size)
        self._set_path(self.path + "/{path:path}")

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes of the mounted application, if it has any."""
        routes: list[BaseRoute] = getattr(self._base_app, "routes", [])
        return routes

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Fit any path below the prefix; what was matched moves from the path to `root_path`."""
        if scope["type"] not in ("http", "websocket"):
            return Match.NONE, {}
        route_path = get_route_path(scope)
        values = match_path(self.path_regex, self.param_convertors, route_path)
        if values is None:
            return Match.NONE, {}
        rest = "/" + values.pop("path")
        root_path = scope.get("root_path", "")
        return Match.FULL, {
            "path_params": below(scope, values),
            # Where the outermost application starts, which `url_for` needs however deep this mount is.
            "app_root_path": scope.get("app_root_path", root_path),
            "root_path": root_path + route_path[: -len(rest)],
            "endpoint": self.app,
        }

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The path of the mount itself (with a `path` parameter), or of a route below it."""
        if self.name is not None and name == self.name and "path" in path_params:
            path_params["path"] = path_params["path"].lstrip("/")
            path, unused = replace_params(self.path_format, self.param_convertors, path_params)
            if not unused:
                return URLPath(path=path)
        elif (rest := child_name(self.name, name)) is not None:
            own_path = path_params.get("path")
            path_params["path"] = ""
            prefix, unused = replace_params(self.path_format, self.param_convertors, path_params)
            if own_path is not None:
                unused["path"] = own_path
            url = first_url(self.routes or [], rest, unused)
            if url is not None:
                return URLPath(path=prefix.rstrip("/") + str(url), protocol=url.protocol)
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the mounted application."""
        await self.app(scope, receive, send)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mount) and self.path == other.path and self.app == other.app

    def __repr__(self) -> str:
        return f"{type(self).__name__}(path={self.path!r}, name={self.name or ''!r}, app={self.app!r})"


class Host(BaseRoute):
    """An ASGI application for one host, or for all that fit a template such as `{subdomain}.example.org`.

    Args:
        host: The host or template, without a slash. A port in it is ignored, as is the case of letters.
        app: The application.
        name: Prefix of the names below it, `name:child`. Default is none.

    Raises:
        AssertionError: The host starts with a slash.
    """

    host_regex: re.Pattern[str]

    def __init__(self, host: str, app: ASGIApp, name: str | None = None) -> None:
        if host.startswith("/"):
            raise AssertionError(
                explained("Host must not start with '/'", f"write {host.lstrip('/')!r}, or use Mount for a path")
            )
        self.host = host
        self.app = app
        self.name = name
        self.host_regex, self.host_format, self.param_convertors = compile_path(host)

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes of the application, if it has any."""
        routes: list[BaseRoute] = getattr(self.app, "routes", [])
        return routes

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Fit a connection by its `Host` header; one that is missing or malformed fits no host."""
        if scope["type"] not in ("http", "websocket"):
            return Match.NONE, {}
        host = parse_host_header(Headers(scope=scope).get("host"))
        values = None if host is None else match_path(self.host_regex, self.param_convertors, host.host.lower())
        if values is None:
            return Match.NONE, {}
        return Match.FULL, {"path_params": below(scope, values), "endpoint": self.app}

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The path on this host (with a `path` parameter), or of a route below it."""
        if self.name is not None and name == self.name and "path" in path_params:
            path = path_params.pop("path")
            host, unused = replace_params(self.host_format, self.param_convertors, path_params)
            if not unused:
                return URLPath(path=path, host=host)
        elif (rest := child_name(self.name, name)) is not None:
            host, unused = replace_params(self.host_format, self.param_convertors, path_params)
            url = first_url(self.routes or [], rest, unused)
            if url is not None:
                return URLPath(path=str(url), protocol=url.protocol, host=host)
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application."""
        await self.app(scope, receive, send)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Host) and self.host == other.host and self.app == other.app

    def __repr__(self) -> str:
        return f"{type(self).__name__}(host={self.host!r}, name={self.name or ''!r}, app={self.app!r})"
