"""Which middleware classes the core carries out itself: those of this package, as long as nobody has changed them.

Layer: on the core. Used by the middleware modules beside it and by the compiler.
Not for: what they do; that is in `rust/forzium-py/src/middleware/`, one file a kind.

Agents replace methods on the classes (Sentry wraps `__call__`), and users make subclasses. Either is called as what it
is, a class in Python: `Linked` has what such an object needs to be an ASGI application.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from forzium._forzium import Chain

if TYPE_CHECKING:
    from forzium.types import ASGIApp, Receive, Scope, Send

__all__ = ["Linked", "is_own", "native"]

_T = TypeVar("_T", bound=type[Any])
_AS_MADE: Final[dict[type[Any], dict[str, Any]]] = {}


class Linked:
    """A middleware that is a link of the core's chain: of one with nothing else, where somebody calls the object."""

    app: "ASGIApp"

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        await self._serve(scope, receive, send)

    @cached_property
    def _serve(self) -> "ASGIApp":
        return Chain([self._link], self.app)

    @cached_property
    def _link(self) -> Any:
        """The core's object with the options of this one."""
        raise NotImplementedError


def native(cls: _T) -> _T:
    """Note that the core carries out `cls`, and how the class was made."""
    _AS_MADE[cls] = _made_of(cls)
    return cls


def _made_of(cls: type[Any]) -> dict[str, Any]:
    return {name: value for each in reversed(cls.__mro__[:-1]) for name, value in vars(each).items()}


def is_own(cls: Any) -> bool:
    """Tell whether `cls` is one of the classes noted, unchanged."""
    try:
        made = _AS_MADE.get(cls)
    except TypeError:  # a factory that cannot be hashed
        return False
    if made is None:
        return False
    now = _made_of(cls)
    return all(now.get(name) is value for name, value in made.items()) and all(
        name in made or name.startswith("__annot") for name in now
    )
