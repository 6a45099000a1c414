"""Convertors: what a parameter of a path may look like, and its way to a value and back.

Layer: ground.
Not for: parsing path templates (`forzium.routing`). The built-in convertors are compiled into the routing table; these
classes state what they mean, build URLs, and are the base of a user's own.

Source: `starlette.convertors`.
"""

import math
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    from uuid import UUID

__all__ = [
    "CONVERTOR_TYPES",
    "Convertor",
    "FloatConvertor",
    "IntegerConvertor",
    "PathConvertor",
    "StringConvertor",
    "UUIDConvertor",
    "register_url_convertor",
]

T = TypeVar("T")


class Convertor(Generic[T]):
    """Base of all convertors: `{name:key}` in a path matches `regex`.

    Subclasses set `regex` and implement both methods.
    """

    regex: ClassVar[str] = ""

    def convert(self, value: str) -> T:
        """Turn matched text into a value."""
        raise NotImplementedError

    def to_string(self, value: T) -> str:
        """Turn a value into text for a URL.

        Raises:
            AssertionError: The value has no such text.
        """
        raise NotImplementedError


class StringConvertor(Convertor[str]):
    """`{name}`, `{name:str}`: one segment, not empty."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        """Give the text itself."""
        return value

    def to_string(self, value: str) -> str:
        """Give the text itself; it must be one segment."""
        text = str(value)
        assert "/" not in text, "May not contain path separators"
        assert text, "Must not be empty"
        return text


class PathConvertor(Convertor[str]):
    """`{name:path}`: the rest of the path, perhaps empty."""

    regex = ".*"

    def convert(self, value: str) -> str:
        """Give the text itself."""
        return str(value)

    def to_string(self, value: str) -> str:
        """Give the text itself."""
        return str(value)


class IntegerConvertor(Convertor[int]):
    """`{name:int}`: digits, no sign."""

    regex = "[0-9]+"

    def convert(self, value: str) -> int:
        """Read a decimal number.

        Raises:
            ValueError: More digits than the interpreter converts (4300 unless it is told otherwise).
        """
        return int(value)

    def to_string(self, value: int) -> str:
        """Write a decimal number, which must not be negative."""
        number = int(value)
        assert number >= 0, "Negative integers are not supported"
        return str(number)


class FloatConvertor(Convertor[float]):
    """`{name:float}`: digits, perhaps a point and more digits; no sign, no exponent."""

    regex = r"[0-9]+(\.[0-9]+)?"

    def convert(self, value: str) -> float:
        """Read a decimal fraction."""
        return float(value)

    def to_string(self, value: float) -> str:
        """Write at most 20 decimals; the number must be finite and not negative."""
        number = float(value)
        assert not math.isnan(number), "NaN values are not supported"
        assert not math.isinf(number), "Infinite values are not supported"
        assert number >= 0.0, "Negative floats are not supported"
        return f"{number:.20f}".rstrip("0").rstrip(".")


class UUIDConvertor(Convertor["UUID"]):
    """`{name:uuid}`: a UUID, with its hyphens or without."""

    regex = "-?".join(f"[0-9a-fA-F]{{{digits}}}" for digits in (8, 4, 4, 4, 12))

    def convert(self, value: str) -> "UUID":
        """Read a UUID."""
        from uuid import UUID

        return UUID(value)

    def to_string(self, value: "UUID") -> str:
        """Write a UUID with hyphens."""
        return str(value)


CONVERTOR_TYPES: dict[str, Convertor[Any]] = {
    "str": StringConvertor(),
    "path": PathConvertor(),
    "int": IntegerConvertor(),
    "float": FloatConvertor(),
    "uuid": UUIDConvertor(),
}
"""Convertors by the key after the colon."""


def register_url_convertor(key: str, convertor: Convertor[Any]) -> None:
    """Make `{name:key}` use a convertor of one's own, or replace a built-in one."""
    CONVERTOR_TYPES[key] = convertor
