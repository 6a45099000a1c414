"""Front ends: built web pages served at paths that no other route takes (`app.frontend()`, `router.frontend()`).

Stands on base, operation and scope. The files themselves are read by frontend_files, which is imported with the first
front end. These routes are of low priority: they come after every other route and after the redirect of slashes.

Source: FastAPI 0.165 `fastapi.routing`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from forzium import routing
from forzium._utils import get_route_path
from forzium.datastructures import URLPath
from forzium.exceptions import RequestValidationError, StarletteHTTPException
from forzium.requests import Request
from forzium.routing.base import BaseRoute, Match, NoMatchFound
from forzium.routing.declaration import explained
from forzium.routing.handler import FUNCTION_STACK, REQUEST_STACK
from forzium.routing.operation import dependant_with
from forzium.routing.scope import (
    EFFECTIVE_ROUTE_CONTEXT,
    FRONTEND_PATH,
    FRONTEND_SPECIFICITY,
    MISSING,
    SCOPE_KEY,
    inner,
    route_selected,
    update_scope,
)
from forzium.types import Receive, Scope, Send

if TYPE_CHECKING:
    from forzium import params
    from forzium.dependencies.utils import SolvedDependency

__all__ = ["FrontendRoute", "FrontendRouteGroup"]

Directory: TypeAlias = "str | os.PathLike[str]"
Fallback: TypeAlias = 'Literal["auto", "index.html", "404.html"] | None'

_FALLBACKS = ("auto", "index.html", "404.html", None)


def nothing() -> None:
    """Stands for the endpoint a front end does not have, so that its dependencies can be read and solved."""


def normalized(path: str) -> str:
    """A front end's path without slashes at its end.

    Raises:
        AssertionError: It is empty, or does not start with a slash.
    """
    if not path:
        raise AssertionError(explained("A frontend path cannot be empty", "write '/' for the whole site"))
    if not path.startswith("/"):
        raise AssertionError(explained("A frontend path must start with '/'", f"write {'/' + path!r}"))
    return path if path == "/" else path.rstrip("/")


def joined(prefix: str, path: str) -> str:
    """A router's prefix before a front end's path."""
    return prefix if prefix and path == "/" else prefix + path


def specificity(path: str) -> int:
    """How much of a path a front end names; the one that names most of it answers."""
    return 0 if path == "/" else len(path)


def checks_directory(directory: Directory, check_dir: bool | Literal["auto"]) -> bool:
    """Whether a missing directory is an error at declaration.

    With `auto` it is one, except in development (`FASTAPI_ENV=development`), where the front end may not have been
    built yet: there it is a warning.
    """
    if check_dir != "auto":
        return check_dir
    if os.environ.get("FASTAPI_ENV") != "development":
        return True
    if not os.path.isdir(directory):
        import warnings

        absolute = os.path.realpath(os.fspath(directory))
        warnings.warn(
            f"Frontend directory '{directory}' does not exist. Resolved absolute path: '{absolute}'", stacklevel=3
        )
    return False


class FrontendRoute(BaseRoute):
    """One front end: a directory served below a path.

    Args:
        path: Where it is served.
        directory: The files.
        fallback: What answers a page that has no file: `index.html` (for pages that route in the browser),
            `404.html`, whichever of them is there (`auto`, the latter first), or a plain 404 (`None`).
        check_dir: Whether the directory must exist already.

    Raises:
        AssertionError: The path or the fallback is none.
        RuntimeError: The directory or the fallback file does not exist.
    """

    def __init__(self, path: str, *, directory: Directory, fallback: Fallback = "auto", check_dir: bool) -> None:
        if fallback not in _FALLBACKS:
            raise AssertionError(
                explained(
                    "fallback must be 'auto', 'index.html', '404.html', or None", f"{fallback!r} is none of these"
                )
            )
        from forzium.routing.frontend_files import FrontendFiles

        self.path = normalized(path)
        self.methods = {"GET", "HEAD"}
        self.app = FrontendFiles(directory=directory, fallback=fallback, check_dir=check_dir)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Fit every path at or below its own; partially where the method is not GET or HEAD."""
        return self.matches_with_path(scope, self.path)

    def matches_with_path(self, scope: Scope, path: str) -> tuple[Match, Scope]:
        """Fit as if it had been declared at `path`."""
        below = remainder(path, get_route_path(scope)) if scope["type"] == "http" else None
        if below is None:
            return Match.NONE, {}
        child_scope = {SCOPE_KEY: {FRONTEND_PATH: below, FRONTEND_SPECIFICITY: specificity(path)}}
        return (Match.FULL if scope["method"] in self.methods else Match.PARTIAL), child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the fallback."""
        response = await self.app.get_response_for_scope(scope)
        await response(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """A front end has no name.

        Raises:
            NoMatchFound: Always.
        """
        raise NoMatchFound(name, path_params)


def remainder(path: str, route_path: str) -> str | None:
    """What is left of a request's path below a front end's, without a slash before it; `None` where it is elsewhere."""
    if path == "/":
        return route_path.lstrip("/")
    if route_path == path:
        return ""
    head, slash, rest = route_path[: len(path)], route_path[len(path) : len(path) + 1], route_path[len(path) + 1 :]
    return rest if head == path and slash == "/" else None


class FrontendRouteGroup(BaseRoute):
    """All front ends of one router, with the router's dependencies before them.

    Args:
        dependencies: Solved before a file is sent.
        dependency_overrides_provider: What has the `dependency_overrides`: the application.
    """

    def __init__(
        self,
        *,
        dependencies: Sequence[params.Depends] | None = None,
        dependency_overrides_provider: Any | None = None,
    ) -> None:
        self.routes: list[FrontendRoute] = []
        self.dependencies = list(dependencies or [])
        self.dependency_overrides_provider = dependency_overrides_provider
        self.dependant, _, self._embed_body_fields = dependant_with(self.dependencies, path="", call=nothing)

    def add_frontend_route(
        self, path: str, *, directory: Directory, fallback: Fallback = "auto", check_dir: bool
    ) -> None:
        """Add a `FrontendRoute`."""
        self.routes.append(FrontendRoute(path, directory=directory, fallback=fallback, check_dir=check_dir))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Fit as the front end that names most of the path."""
        return self.matches_with_prefix(scope, "")

    def matches_with_prefix(self, scope: Scope, prefix: str) -> tuple[Match, Scope]:
        """Fit as if every path had `prefix` before it."""
        match, child_scope, _ = self._select(scope, prefix)
        return match, child_scope

    def _select(self, scope: Scope, prefix: str) -> tuple[Match, Scope, FrontendRoute | None]:
        best: tuple[Match, Scope, FrontendRoute | None] = Match.NONE, {}, None
        rank = (Match.NONE.value, -1)
        for route in self.routes:
            path = joined(prefix, route.path)
            match, child_scope = route.matches_with_path(scope, path)
            own_rank = (match.value, specificity(path))
            if match is not Match.NONE and own_rank > rank:
                best, rank = (match, child_scope, route), own_rank
        return best

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Solve the dependencies, then send the file."""
        context = inner(scope, EFFECTIVE_ROUTE_CONTEXT)
        if getattr(context, "original_route", None) is self:
            declaration, prefix = context, context.frontend_prefix
        else:
            declaration, prefix = self, ""
        match, child_scope, route = self._select(scope, prefix)
        if route is None:
            raise StarletteHTTPException(status_code=404)
        update_scope(scope, child_scope)
        route_selected(scope, joined(prefix, route.path).rstrip("/") + "/{path}")
        if match is not Match.FULL or not declaration.dependant.dependencies:
            await route.handle(scope, receive, send)
            return
        async with solved(declaration, Request(scope, receive, send)) as found:
            response = await route.app.get_response_for_scope(scope)
            if response.background is None:
                response.background = found.background_tasks
            response.headers.raw.extend(found.response.headers.raw)
            await response(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """A front end has no name.

        Raises:
            NoMatchFound: Always.
        """
        raise NoMatchFound(name, path_params)


@asynccontextmanager
async def solved(declaration: Any, request: Request) -> AsyncIterator[SolvedDependency]:
    """Solve the dependencies of a front end; those with `yield` end with the block.

    Raises:
        RequestValidationError: A parameter of one is not what it says.
    """
    scope = request.scope
    previous = {key: scope.get(key, MISSING) for key in (REQUEST_STACK, FUNCTION_STACK)}
    try:
        async with AsyncExitStack() as request_stack:
            scope[REQUEST_STACK] = request_stack
            async with AsyncExitStack() as function_stack:
                scope[FUNCTION_STACK] = function_stack
                found = await routing.solve_dependencies(
                    request=request,
                    dependant=declaration.dependant,
                    dependency_overrides_provider=declaration.dependency_overrides_provider,
                    async_exit_stack=request_stack,
                    embed_body_fields=declaration._embed_body_fields,
                )
                if found.errors:
                    raise RequestValidationError(found.errors)
                yield found
    finally:
        for key, value in previous.items():
            if value is MISSING:
                scope.pop(key, None)
            else:
                scope[key] = value
