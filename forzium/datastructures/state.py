"""State that applications and requests carry, and the mark of a default that nobody changed.

Layer: `forzium.datastructures`, on nothing.
Not for: values read from the environment (`settings`).

Source: `starlette.datastructures.State`; `fastapi.datastructures.Default`.
"""

from collections.abc import Iterator
from typing import Any, TypeVar, cast

__all__ = ["Default", "DefaultPlaceholder", "DefaultType", "State"]


class State:
    """A dictionary whose keys are also attributes: `app.state`, `request.state`.

    Args:
        state: The dictionary to use, not copied. Default is a new one.

    Source: `starlette.datastructures.State`.
    """

    _state: dict[str, Any]

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        super().__setattr__("_state", {} if state is None else state)

    def __getattr__(self, key: str) -> Any:
        try:
            return self._state[key]
        except KeyError:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{key}'")

    def __setattr__(self, key: str, value: Any) -> None:
        self._state[key] = value

    def __delattr__(self, key: str) -> None:
        del self._state[key]

    def __getitem__(self, key: str) -> Any:
        return self._state[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._state[key] = value

    def __delitem__(self, key: str) -> None:
        del self._state[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)


class DefaultPlaceholder:
    """A default value, wrapped so that it can be told from the same value given by the user.

    True where the value is, equal to another placeholder of an equal value.

    Args:
        value: The default.

    Source: `fastapi.datastructures.DefaultPlaceholder`.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __bool__(self) -> bool:
        return bool(self.value)

    def __eq__(self, o: object) -> bool:
        return isinstance(o, DefaultPlaceholder) and o.value == self.value


DefaultType = TypeVar("DefaultType")


def Default(value: DefaultType) -> DefaultType:
    """Wrap a default value; to a type checker it is the value itself."""
    return cast(DefaultType, DefaultPlaceholder(value))


# Stands for "the parameter was not given" where None is a value; typed as None.
_Unset = Default(None)
