"""The OpenAPI document as it is served: written as JSON once, and again where somebody may have changed it.

Stands on responses. What the document says is made by openapi, and when it is made anew is app's matter.
"""

from __future__ import annotations

from typing import Any

from forzium.responses import JSONResponse

# Root paths come from a host or a proxy: one, or a few. The bound is for a proxy that passes on what clients say.
_MOST_ROOT_PATHS = 8


class Document:
    """One document, which changes under nobody's hands until it is handed out.

    Args:
        schema: The document, `None` while there is none.
        is_shared: Whether somebody has it, and can change it at any time: then every answer is written anew. Default is
            no.
    """

    __slots__ = ("_bodies", "is_shared", "schema")

    def __init__(self, schema: dict[str, Any] | None, *, is_shared: bool = False) -> None:
        self.schema = schema
        self.is_shared = is_shared
        self._bodies: dict[str, bytes | memoryview] = {}

    def body(self, root_path: str) -> bytes | memoryview:
        """The document as JSON; with a root path, as an application that is served below it says it.

        Raises:
            ValueError: It has a float that is not finite.
        """
        body = None if self.is_shared else self._bodies.get(root_path)
        if body is None:
            body = JSONResponse(served_below(self.schema or {}, root_path)).body
            if not self.is_shared and len(self._bodies) < _MOST_ROOT_PATHS:
                self._bodies[root_path] = body
        return body


def served_below(schema: dict[str, Any], root_path: str) -> dict[str, Any]:
    """The document with the root path as first server, unless there is none or it is a server already."""
    servers = schema.get("servers", [])
    if not root_path or any(each.get("url") == root_path for each in servers):
        return schema
    return {**schema, "servers": [{"url": root_path}, *servers]}
