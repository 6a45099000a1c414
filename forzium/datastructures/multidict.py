"""Dictionaries with several values a key: the general ones, query parameters, form data.

Layer: `forzium.datastructures`, on uploads and on Rust's parser of query strings.
Not for: headers, whose keys ignore case (`headers`).

Source: `starlette.datastructures`.
"""

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from operator import itemgetter
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from forzium._forzium import parse_query
from forzium.datastructures.upload import UploadFile as StarletteUploadFile

__all__ = ["FormData", "ImmutableMultiDict", "MultiDict", "QueryParams"]

K = TypeVar("K")
V_co = TypeVar("V_co", covariant=True)

_first = itemgetter(0)


class ImmutableMultiDict(Mapping[K, V_co]):
    """A mapping that keeps every value of a key, and their order.

    As a mapping it shows the last value of each key; `getlist` and `multi_items` show all.

    Args:
        *args: At most one: another multidict, a mapping, or pairs.
        **kwargs: Further items, after those.

    Source: `starlette.datastructures.ImmutableMultiDict`.
    """

    _list: list[tuple[K, V_co]]
    _dict: dict[K, V_co]

    def __init__(
        self,
        *args: "ImmutableMultiDict[K, V_co] | Mapping[K, V_co] | Iterable[tuple[K, V_co]]",
        **kwargs: Any,
    ) -> None:
        assert len(args) < 2, "Too many arguments."
        items = _pairs(args[0]) if args else []
        if kwargs:
            items = [*items, *kwargs.items()]
        self._list = items
        self._dict = dict(items)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__getitem__" in cls.__dict__ and "get" not in cls.__dict__:
            cls.get = Mapping.get  # type: ignore[assignment]  # `get` goes through an overridden `__getitem__`

    def getlist(self, key: Any) -> list[V_co]:
        """Give all values of `key`, in order; an absent key has none."""
        return [value for name, value in self._list if name == key]

    def keys(self) -> KeysView[K]:
        """Give the keys, each once."""
        return self._dict.keys()

    def values(self) -> ValuesView[V_co]:
        """Give the last value of each key."""
        return self._dict.values()

    def items(self) -> ItemsView[K, V_co]:
        """Give each key with its last value."""
        return self._dict.items()

    def multi_items(self) -> list[tuple[K, V_co]]:
        """Give all pairs, in order, as a new list."""
        return self._list.copy()

    def get(self, key: Any, default: Any = None) -> Any:
        """Give the last value of `key`, or `default` (None) where it is absent."""
        return self._dict.get(key, default)

    def __getitem__(self, key: K) -> V_co:
        return self._dict[key]

    def __contains__(self, key: Any) -> bool:
        return key in self._dict

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._dict)

    def __eq__(self, other: Any) -> bool:
        # The order of different keys does not count, that of equal keys does: sorting is stable.
        return isinstance(other, type(self)) and sorted(self._list, key=_first) == sorted(other._list, key=_first)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.multi_items()!r})"


def _pairs(value: Any) -> list[Any]:
    """Give the pairs of whatever a multidict may be made from, as a new list."""
    if not value:
        return []
    for method in ("multi_items", "items"):
        if hasattr(value, method):
            return list(getattr(value, method)())
    return list(value)


class MultiDict(ImmutableMultiDict[Any, Any]):
    """A multidict that can be changed.

    Source: `starlette.datastructures.MultiDict`.
    """

    def __setitem__(self, key: Any, value: Any) -> None:
        self.setlist(key, [value])

    def __delitem__(self, key: Any) -> None:
        self._drop(key)
        del self._dict[key]

    def pop(self, key: Any, default: Any = None) -> Any:
        """Remove all values of `key`; give the last one, or `default` (None)."""
        self._drop(key)
        return self._dict.pop(key, default)

    def popitem(self) -> tuple[Any, Any]:
        """Remove the key that was added last, with all its values; give it with its last value.

        Raises:
            KeyError: The dictionary is empty.
        """
        key, value = self._dict.popitem()
        self._drop(key)
        return key, value

    def poplist(self, key: Any) -> list[Any]:
        """Remove all values of `key` and give them."""
        values = self.getlist(key)
        self.pop(key)
        return values

    def clear(self) -> None:
        """Remove everything."""
        self._dict.clear()
        self._list.clear()

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Give the last value of `key`; where there is none, store `default` (None) and give that."""
        if key not in self:
            self.append(key, default)
        return self[key]

    def setlist(self, key: Any, values: list[Any]) -> None:
        """Replace the values of `key`, which moves to the end; no values remove it."""
        if not values:
            self.pop(key, None)
            return
        self._drop(key)
        self._list += [(key, value) for value in values]
        self._dict[key] = values[-1]

    def append(self, key: Any, value: Any) -> None:
        """Add one more value."""
        self._list.append((key, value))
        self._dict[key] = value

    def update(self, *args: "MultiDict | Mapping[Any, Any] | list[tuple[Any, Any]]", **kwargs: Any) -> None:
        """Replace the values of all keys given; takes what the constructor takes."""
        new = MultiDict(*args, **kwargs)
        self._list = [item for item in self._list if item[0] not in new._dict] + new._list
        self._dict.update(new._dict)

    def _drop(self, key: Any) -> None:
        self._list = [item for item in self._list if item[0] != key]


class QueryParams(ImmutableMultiDict[str, str]):
    """The parameters of a query string.

    Args:
        *args: At most one: the query string (text, or bytes as they stand in the ASGI scope), or what
            `ImmutableMultiDict` takes; keys and values become text.
        **kwargs: Further parameters.

    Source: `starlette.datastructures.QueryParams`; WHATWG URL, application/x-www-form-urlencoded.
    """

    def __init__(
        self,
        *args: "ImmutableMultiDict[Any, Any] | Mapping[Any, Any] | list[tuple[Any, Any]] | str | bytes",
        **kwargs: Any,
    ) -> None:
        assert len(args) < 2, "Too many arguments."
        value: Any = args[0] if args else b""
        if isinstance(value, str) and value.isascii():
            value = value.encode()
        if isinstance(value, bytes):
            self._list, self._dict = parse_query(value)
        else:
            pairs = parse_qsl(value, keep_blank_values=True) if isinstance(value, str) else _pairs(value)
            self._list = [(str(key), str(item)) for key, item in pairs]
            self._dict = dict(self._list)
        if kwargs:
            more = [(str(key), str(item)) for key, item in kwargs.items()]
            self._list += more
            self._dict.update(more)

    def __str__(self) -> str:
        return urlencode(self._list)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


def query_params_of(query: str | bytes) -> QueryParams:
    """Make the `QueryParams` of the query string of a scope, past a constructor that takes other things, too."""
    if type(query) is not bytes:
        return QueryParams(query)
    params = object.__new__(QueryParams)
    params._list, params._dict = parse_query(query)
    return params


class FormData(ImmutableMultiDict[str, StarletteUploadFile | str]):
    """The fields of a form: texts and uploaded files.

    Source: `starlette.datastructures.FormData`.
    """

    def __init__(
        self,
        *args: "FormData | Mapping[str, str | StarletteUploadFile] | list[tuple[str, str | StarletteUploadFile]]",
        **kwargs: str | StarletteUploadFile,
    ) -> None:
        super().__init__(*args, **kwargs)

    async def close(self) -> None:
        """Close every uploaded file."""
        for _, value in self._list:
            if isinstance(value, StarletteUploadFile):
                await value.close()
