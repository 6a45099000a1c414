"""HTTP headers as a mapping whose keys ignore case.

Layer: `forzium.datastructures`, on Rust's look-up.
Not for: checking what a header may hold (responses do), nor the meaning of single headers.

Source: `starlette.datastructures`; RFC 9110, 5.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from forzium._forzium import first_header

__all__ = ["Headers", "MutableHeaders"]


class Headers(Mapping[str, str]):
    """Headers as received: several lines of one name are kept, in order.

    As a mapping it shows the first line of a name. Names are lower case; bytes and text are latin-1 of each other.

    Args:
        headers: Names and values. Default is none.
        raw: The list of an ASGI message, taken as it is and not copied.
        scope: An ASGI scope, whose `headers` become a list.

    Source: `starlette.datastructures.Headers`.
    """

    _list: list[tuple[bytes, bytes]]

    def __init__(
        self,
        headers: Mapping[str, str] | None = None,
        raw: list[tuple[bytes, bytes]] | None = None,
        scope: MutableMapping[str, Any] | None = None,
    ) -> None:
        if headers is not None:
            assert raw is None, 'Cannot set both "headers" and "raw".'
            assert scope is None, 'Cannot set both "headers" and "scope".'
            self._list = [(_name(key), value.encode("latin-1")) for key, value in headers.items()]
        elif raw is not None:
            assert scope is None, 'Cannot set both "raw" and "scope".'
            self._list = raw
        elif scope is not None:
            self._share(scope)
        else:
            self._list = []

    def _share(self, scope: MutableMapping[str, Any]) -> None:
        # A server may give any iterable. The list is shared with the scope, so that changes show there.
        self._list = scope["headers"] = [*scope["headers"]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__getitem__" in cls.__dict__ and "get" not in cls.__dict__:
            cls.get = Mapping.get  # type: ignore[assignment]  # `get` goes through an overridden `__getitem__`

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """The lines as bytes, a new list."""
        return self._list.copy()

    def keys(self) -> list[str]:  # type: ignore[override]
        """Give the names of all lines."""
        return [key.decode("latin-1") for key, _ in self._list]

    def values(self) -> list[str]:  # type: ignore[override]
        """Give the values of all lines."""
        return [value.decode("latin-1") for _, value in self._list]

    def items(self) -> list[tuple[str, str]]:  # type: ignore[override]
        """Give all lines."""
        return [(key.decode("latin-1"), value.decode("latin-1")) for key, value in self._list]

    def get(self, key: str, default: Any = None) -> Any:
        """Give the first value of `key`, or `default` (None) where it is absent."""
        value = first_header(self._list, key)
        return default if value is None else value

    def getlist(self, key: str) -> list[str]:
        """Give all values of `key`, in order; an absent one has none."""
        name = _name(key)
        return [value.decode("latin-1") for line, value in self._list if line == name]

    def mutablecopy(self) -> "MutableHeaders":
        """Copy the headers into ones that can be changed."""
        return MutableHeaders(raw=self._list.copy())

    def __getitem__(self, key: str) -> str:
        value = first_header(self._list, key)
        if value is None:
            raise KeyError(key)
        return value

    def __contains__(self, key: Any) -> bool:
        name = _name(key)
        return any(line == name for line, _ in self._list)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._list)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Headers) and sorted(self._list) == sorted(other._list)

    def __repr__(self) -> str:
        single = dict(self.items())
        shown = f"{single!r}" if len(single) == len(self) else f"raw={self.raw!r}"
        return f"{type(self).__name__}({shown})"


def headers_of(scope: MutableMapping[str, Any]) -> Headers:
    """Make the `Headers` of a scope, past a constructor that takes other things, too."""
    headers = object.__new__(Headers)
    headers._share(scope)
    return headers


def _name(key: str) -> bytes:
    return key.lower().encode("latin-1")


class MutableHeaders(Headers):
    """Headers of a response, or of a scope that is to be changed. Changes are made in the list given as `raw`.

    Source: `starlette.datastructures.MutableHeaders`.
    """

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """The lines as bytes: the list itself."""
        return self._list

    def __setitem__(self, key: str, value: str) -> None:
        line = (_name(key), value.encode("latin-1"))
        places = self._places(line[0])
        if not places:
            self._list.append(line)
            return
        self._list[places[0]] = line
        for place in reversed(places[1:]):
            del self._list[place]

    def __delitem__(self, key: str) -> None:
        for place in reversed(self._places(_name(key))):
            del self._list[place]

    def __ior__(self, other: Mapping[str, str]) -> "MutableHeaders":
        _expect_mapping(other)
        self.update(other)
        return self

    def __or__(self, other: Mapping[str, str]) -> "MutableHeaders":
        _expect_mapping(other)
        both = self.mutablecopy()
        both.update(other)
        return both

    def setdefault(self, key: str, value: str) -> str:
        """Give the first value of `key`; where there is none, store `value` and give that."""
        line = (_name(key), value.encode("latin-1"))
        places = self._places(line[0])
        if places:
            return self._list[places[0]][1].decode("latin-1")
        self._list.append(line)
        return value

    def update(self, other: Mapping[str, str]) -> None:
        """Set every header of `other`."""
        for key, value in other.items():
            self[key] = value

    def append(self, key: str, value: str) -> None:
        """Add one more line."""
        self._list.append((_name(key), value.encode("latin-1")))

    def add_vary_header(self, vary: str) -> None:
        """Add a field name to `Vary`, which stays one line."""
        self["vary"] = ", ".join([*self.getlist("vary"), vary])

    def _places(self, name: bytes) -> list[int]:
        return [place for place, (line, _) in enumerate(self._list) if line == name]


def _expect_mapping(other: object) -> None:
    if not isinstance(other, Mapping):
        raise TypeError(f"Expected a mapping but got {type(other).__name__}")
