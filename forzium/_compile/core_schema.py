"""Reading pydantic's core schemas: what their references lead to.

Not for: what a schema means; `model_text` and `outline` ask that, each for its own end.
"""

from __future__ import annotations

from typing import Any


class References:
    """The definitions of one core schema, which may lead back to it."""

    def __init__(self) -> None:
        self._definitions: dict[str, Any] = {}

    def opened(self, schema: Any) -> Any:
        """Return the schema itself, where its definitions stand around it; those are remembered."""
        while schema["type"] == "definitions":
            self._definitions |= {each["ref"]: each for each in schema["definitions"]}
            schema = schema["schema"]
        return schema

    def get(self, ref: str) -> Any:
        """Return the schema that a reference names, None where it names none."""
        return self._definitions.get(ref)
