"""Kinds of values that settings have.

Layer: `forzium.datastructures`, on nothing.
Not for: reading settings (`forzium.config`).

Source: `starlette.datastructures.Secret`, `starlette.datastructures.CommaSeparatedStrings`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["CommaSeparatedStrings", "Secret"]


class Secret:
    """A text that does not show itself in tracebacks; `str(secret)` gives it. Empty is false.

    Args:
        value: The text.
    """

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return f"{type(self).__name__}('**********')"

    def __str__(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)


class CommaSeparatedStrings(Sequence[str]):
    """Texts from one text with commas between them, blanks around them removed, quotes obeyed as a shell does.

    Args:
        value: The text to split, or the texts themselves.

    Raises:
        ValueError: A quote is not closed.
    """

    def __init__(self, value: str | Sequence[str]) -> None:
        self._items: list[str] = _split(value) if isinstance(value, str) else list(value)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int | slice) -> Any:
        return self._items[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"

    def __str__(self) -> str:
        return ", ".join(map(repr, self))


def _split(text: str) -> list[str]:
    from shlex import shlex

    lexer = shlex(text, posix=True)
    lexer.whitespace = ","
    lexer.whitespace_split = True
    return [item.strip() for item in lexer]
