"""OpenAPI documents from the docstrings of plain Starlette routes.

Layer: above `forzium.routing`.
Not for: the document of a FastAPI application, which is made from its declarations (`forzium.openapi`).

Source: `starlette.schemas`. Needs `pyyaml`.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from forzium.requests import Request
from forzium.responses import Response
from forzium.routing import BaseRoute, Host, Mount, Route

__all__ = ["BaseSchemaGenerator", "EndpointInfo", "OpenAPIResponse", "SchemaGenerator"]

_METHODS = ("get", "post", "put", "patch", "delete", "options", "query")
_CONVERTOR = re.compile(r":\w+}")


def _yaml(user: str) -> Any:
    try:
        import yaml  # type: ignore[import-untyped, unused-ignore]
    except ModuleNotFoundError:
        yaml = None
    assert yaml is not None, f"`pyyaml` must be installed to use {user}."
    return yaml


class OpenAPIResponse(Response):
    """A response whose content, a dictionary, is written as YAML."""

    media_type = "application/vnd.oai.openapi"

    def render(self, content: Any) -> bytes:
        """Write the dictionary.

        Raises:
            AssertionError: `pyyaml` is not installed, or the content is no dictionary.
        """
        yaml = _yaml("OpenAPIResponse")
        assert isinstance(content, dict), "The schema passed to OpenAPIResponse should be a dictionary."
        text: str = yaml.dump(content, default_flow_style=False)
        return text.encode("utf-8")


class EndpointInfo(NamedTuple):
    """An operation: `path` without convertors, `http_method` in lower case, `func` whose docstring describes it."""

    path: str
    http_method: str
    func: Callable[..., Any]


class BaseSchemaGenerator:
    """Base of generators: finds the operations of an application and reads their docstrings.

    Source: `starlette.schemas.BaseSchemaGenerator`.
    """

    def get_schema(self, routes: list[BaseRoute]) -> dict[str, Any]:
        """Make the document of these routes."""
        raise NotImplementedError

    def get_endpoints(self, routes: list[BaseRoute]) -> list[EndpointInfo]:
        """Find the operations of these routes and of what is mounted among them, in order."""
        return [operation for route in routes for operation in self._operations(route)]

    def _operations(self, route: BaseRoute) -> Iterator[EndpointInfo]:
        if isinstance(route, Mount | Host):
            prefix = self._remove_converter(route.path) if isinstance(route, Mount) else ""
            for inner in self.get_endpoints(route.routes or []):
                yield inner._replace(path=prefix + inner.path)
        elif isinstance(route, Route) and route.include_in_schema:
            path, endpoint = self._remove_converter(route.path), route.endpoint
            if inspect.isfunction(endpoint) or inspect.ismethod(endpoint):
                for method in route.methods or ["GET"]:
                    if method != "HEAD":
                        yield EndpointInfo(path, method.lower(), endpoint)
            else:  # a class with a method for each HTTP method
                for name in _METHODS:
                    if hasattr(endpoint, name):
                        yield EndpointInfo(path, name, getattr(endpoint, name))

    def _remove_converter(self, path: str) -> str:
        """Turn `/users/{id:int}` into `/users/{id}`."""
        return _CONVERTOR.sub("}", path)

    def parse_docstring(self, func_or_method: Callable[..., Any]) -> dict[str, Any]:
        """Read the YAML of a docstring: what follows its last `---`, or all of it. Other docstrings give {}.

        Raises:
            AssertionError: `pyyaml` is not installed.
        """
        text = func_or_method.__doc__
        if not text:
            return {}
        parsed = _yaml("parse_docstring").safe_load(text.rpartition("---")[2])
        return parsed if isinstance(parsed, dict) else {}

    def OpenAPIResponse(self, request: Request) -> Response:
        """Answer with the document of the request's application."""
        return OpenAPIResponse(self.get_schema(routes=request.app.routes))


class SchemaGenerator(BaseSchemaGenerator):
    """Generator of an OpenAPI document.

    Args:
        base_schema: What the document holds besides the operations.

    Source: `starlette.schemas.SchemaGenerator`.
    """

    def __init__(self, base_schema: dict[str, Any]) -> None:
        self.base_schema = base_schema

    def get_schema(self, routes: list[BaseRoute]) -> dict[str, Any]:
        """Make the document of these routes. QUERY operations are left out before OpenAPI 3.2."""
        schema = dict(self.base_schema)
        paths = schema.setdefault("paths", {})
        version = re.match(r"(\d+)\.(\d+)", str(schema.get("openapi", "")))
        knows_query = version is not None and (int(version[1]), int(version[2])) >= (3, 2)
        for path, method, func in self.get_endpoints(routes):
            if method == "query" and not knows_query:
                continue
            if operation := self.parse_docstring(func):
                paths.setdefault(path, {})[method] = operation
        return schema
