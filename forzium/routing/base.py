"""What every route is built from: matching, path templates, names, and the list that notices changes.

Stands on convertors, responses and websockets. It knows no concrete route class, no router and no dependency.

Source: Starlette 1.10 `starlette.routing`, whose names and answers these are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, SupportsIndex, TypeAlias

from forzium.convertors import CONVERTOR_TYPES, Convertor
from forzium.datastructures import URLPath
from forzium.responses import PlainTextResponse
from forzium.routing.declaration import declared, explained
from forzium.types import Receive, Scope, Send
from forzium.websockets import WebSocketClose

__all__ = [
    "PARAM_FORMAT_REGEX",
    "PARAM_REGEX",
    "BaseRoute",
    "Match",
    "NoMatchFound",
    "PathRoute",
    "PathTemplate",
    "RouteList",
    "compile_path",
    "get_name",
    "match_path",
    "replace_params",
]

Convertors: TypeAlias = dict[str, Convertor[Any]]

PARAM_REGEX = re.compile("{([a-zA-Z_][a-zA-Z0-9_]*)(:[a-zA-Z_][a-zA-Z0-9_]*)?}")
"""A parameter in a path as declared: `{name}` or `{name:convertor}`."""

PARAM_FORMAT_REGEX = re.compile("{([a-zA-Z_][a-zA-Z0-9_]*)}")
"""A parameter in a `path_format`: `{name}`."""


class NoMatchFound(Exception):
    """No route of the asked name takes exactly the given parameters; raised by `url_path_for` and `url_for`."""

    def __init__(self, name: str, path_params: dict[str, Any]) -> None:
        params = ", ".join(path_params)
        super().__init__(f'No route exists for name "{name}" and params "{params}".')


class Match(Enum):
    """How far a route fits a scope: not at all, all but the method, or wholly."""

    NONE = 0
    PARTIAL = 1
    FULL = 2


def get_name(endpoint: Callable[..., Any]) -> str:
    """The name a route gets when none is given: the function's or class's, else that of the object's class."""
    name: str = getattr(endpoint, "__name__", type(endpoint).__name__)
    return name


def replace_params(path: str, param_convertors: Convertors, path_params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Fill the parameters of a path format.

    Args:
        path: A path format, as `compile_path` gives it.
        param_convertors: The convertor of each parameter in it.
        path_params: Values by name. Those used are taken out of this dict.

    Returns:
        The path, in which parameters without a value stay as they were, and `path_params`.
    """
    if not path_params:
        return path, path_params

    def fill(found: re.Match[str]) -> str:
        name = found[1]
        return param_convertors[name].to_string(path_params.pop(name)) if name in path_params else found[0]

    return PARAM_FORMAT_REGEX.sub(fill, path), path_params


def parse_path(path: str, declared_object: Any = None) -> tuple[str, str, Convertors]:
    """Read a path or host template without compiling its expression, which few routes need.

    Args:
        path: The template.
        declared_object: The endpoint there, for error messages.

    Returns:
        The source of the regular expression, the path format, and the convertor of each parameter.
    """
    expression = ["^"]
    path_format: list[str] = []
    convertors: Convertors = {}
    repeated: set[str] = set()
    end = 0
    for found in PARAM_REGEX.finditer(path):
        name, kind = found[1], (found[2] or ":str")[1:]
        convertor = CONVERTOR_TYPES.get(kind)
        if convertor is None:
            known = ", ".join(CONVERTOR_TYPES)
            raise AssertionError(
                explained(
                    f"Unknown path convertor '{kind}'",
                    f"in {path!r} write one of {known}, or register_url_convertor({kind!r}, ...) before",
                    declared_object,
                )
            )
        if name in convertors:
            repeated.add(name)
        convertors[name] = convertor
        literal = path[end : found.start()]
        expression += re.escape(literal), f"(?P<{name}>{convertor.regex})"
        path_format += literal, f"{{{name}}}"
        end = found.end()
    if repeated:
        plural = "s" if len(repeated) > 1 else ""
        raise ValueError(
            explained(
                f"Duplicated param name{plural} {', '.join(sorted(repeated))} at path {path}",
                "give every parameter of a path its own name",
                declared_object,
            )
        )
    rest = path[end:]
    path_format.append(rest)
    if not path.startswith("/") and not rest.endswith("]"):
        # A host: the port is no part of what is compared. "[::1]" ends in a bracket and has none.
        rest = rest.rsplit(":", 1)[0]
    expression += re.escape(rest), "$"
    return "".join(expression), "".join(path_format), convertors


def compile_path(path: str) -> tuple[re.Pattern[str], str, Convertors]:
    """Compile a path such as `/{username:str}`, or a host such as `{subdomain}.example.org`.

    Returns:
        The regular expression, the path format (`/{username}`), and the convertor of each parameter. Host names are
        compared without regard to case (RFC 9110, section 4.2.3). Use `fullmatch`: `$` alone would let a line feed
        at the end of a path pass.

    Raises:
        AssertionError: A convertor is not known.
        ValueError: A parameter name occurs twice.
    """
    expression, path_format, convertors = parse_path(path)
    return compile_expression(expression), path_format, convertors


def compile_expression(expression: str) -> re.Pattern[str]:
    """Compile what `parse_path` gave, without regard to case where it is a host's."""
    return re.compile(expression, 0 if expression.startswith("^/") else re.IGNORECASE)


def match_path(
    expression: re.Pattern[str], convertors: Mapping[str, Convertor[Any]], text: str
) -> dict[str, Any] | None:
    """Match a whole path or host and convert its parameters; `None` where it does not fit.

    A value that a convertor refuses with `ValueError` does not fit (Starlette answers 500), so `/items/{n:int}` does
    not fit a number longer than Python converts.
    """
    found = expression.fullmatch(text)
    if found is None:
        return None
    values = found.groupdict()
    try:
        for name, value in values.items():
            values[name] = convertors[name].convert(value)
    except ValueError:
        return None
    return values


def below(scope: Scope, values: dict[str, Any]) -> dict[str, Any]:
    """The path parameters a scope gets: those matched before (by a mount), then these."""
    return {**scope.get("path_params", {}), **values}


class BaseRoute:
    """What a router asks of a route. Subclasses override `matches`, `handle` and `url_path_for`.

    Assigning a public attribute anew tells the compiled plans that a declaration changed.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ and name[0] != "_":
            declared()
        object.__setattr__(self, name, value)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say how far this route fits `scope`, and what the scope gets if it is taken."""
        raise NotImplementedError

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """The path of the route called `name`.

        Raises:
            NoMatchFound: The name or the set of parameters is another.
        """
        raise NotImplementedError

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a connection that `matches` accepted."""
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as an ASGI application of this one route."""
        match, child_scope = self.matches(scope)
        if match is not Match.NONE:
            scope.update(child_scope)
            await self.handle(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse("Not Found", status_code=404)(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)


class PathTemplate:
    """A path template whose expression is compiled when first asked for."""

    path_format: str
    param_convertors: Convertors
    _compiled_path: str = ""
    _path_expression: str = ""
    _path_regex: re.Pattern[str] | None = None

    def _set_path(self, path: str, endpoint: Any = None) -> None:
        """Match `path` from now on; the `path` attribute itself is the subclass's to set."""
        expression, path_format, convertors = parse_path(path, endpoint)
        vars(self).update(
            path_format=path_format,
            param_convertors=convertors,
            _compiled_path=path,
            _path_expression=expression,
            _path_regex=None,
        )

    @property
    def path_regex(self) -> re.Pattern[str]:
        """The regular expression of the path; `fullmatch` it."""
        if self._path_regex is None:
            self._path_regex = compile_expression(self._path_expression)
        return self._path_regex

    @path_regex.setter
    def path_regex(self, value: re.Pattern[str]) -> None:
        if value.pattern != self._path_expression:
            self._compiled_path, self._path_expression = "", value.pattern
            declared()
        self._path_regex = value

    @property
    def compiled_path(self) -> str:
        """The template that matching follows, for the route table.

        It is empty where an expression was assigned to `path_regex`: then only `matches` knows.
        """
        return self._compiled_path


class PathRoute(PathTemplate, BaseRoute):
    """A route with a path template."""

    path: str


class RouteList(list[BaseRoute]):
    """A router's routes, in order of registration. Every change of it is a declaration.

    Args:
        routes: The first routes.
        changed: Called after each change.
    """

    __slots__ = ("_changed",)

    def __init__(self, routes: Iterable[BaseRoute] = (), changed: Callable[[], None] = declared) -> None:
        super().__init__(routes)
        self._changed = changed

    def _tell(self) -> None:
        changed = getattr(self, "_changed", None)  # unset while `copy` fills a new list
        if changed is not None:
            changed()

    def append(self, route: BaseRoute, /) -> None:
        super().append(route)
        self._tell()

    def extend(self, routes: Iterable[BaseRoute], /) -> None:
        super().extend(routes)
        self._tell()

    def insert(self, index: SupportsIndex, route: BaseRoute, /) -> None:
        super().insert(index, route)
        self._tell()

    def remove(self, route: BaseRoute, /) -> None:
        super().remove(route)
        self._tell()

    def pop(self, index: SupportsIndex = -1, /) -> BaseRoute:
        route = super().pop(index)
        self._tell()
        return route

    def clear(self) -> None:
        super().clear()
        self._tell()

    def sort(self, *, key: Any = None, reverse: bool = False) -> None:
        super().sort(key=key, reverse=reverse)
        self._tell()

    def reverse(self) -> None:
        super().reverse()
        self._tell()

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, value)
        self._tell()

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        super().__delitem__(index)
        self._tell()

    def __iadd__(self, routes: Iterable[BaseRoute]) -> RouteList:  # type: ignore[override, misc]
        super().extend(routes)
        self._tell()
        return self

    def __imul__(self, count: SupportsIndex) -> RouteList:
        super().__imul__(count)
        self._tell()
        return self


def first_url(routes: Iterable[BaseRoute], name: str, path_params: dict[str, Any]) -> URLPath | None:
    """The path of the first route that answers to `name` with these parameters, if any does."""
    for route in routes:
        try:
            return route.url_path_for(name, **path_params)
        except NoMatchFound:
            continue
    return None
