"""Callables are classified alike, their signatures read alike, and their places in the cache are the same."""

import functools
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Optional
from unittest.mock import AsyncMock, MagicMock

import pytest

from conformance.harness import Framework
from conformance.signatures import both, dependant_facts, plain

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers


def function(a: int) -> int:
    return a


def generator() -> Iterator[int]:
    yield 1


async def coroutine() -> int:
    return 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


FUNCTIONS = [function, generator, coroutine, async_generator]


class Methods:
    def plain(self) -> int:
        return 1

    def gen(self) -> Any:
        yield 1

    async def coro(self) -> int:
        return 1

    @classmethod
    async def of_class(cls) -> int:
        return 1

    @staticmethod
    def static() -> Any:
        yield 1


def _called_by(function: Callable[..., Any]) -> Any:
    return type("Called", (), {"__call__": staticmethod(function)})()


def _wrapping(function: Callable[..., Any]) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def _async_wrapping(function: Callable[..., Any]) -> Any:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def _zoo() -> list[Any]:
    found: list[Any] = [*FUNCTIONS, Methods, type(function), len, int, MagicMock(), AsyncMock(), object()]
    found += [getattr(Methods(), name) for name in ("plain", "gen", "coro", "of_class", "static")]
    found += [make(item) for item in FUNCTIONS for make in (functools.partial, _called_by, _wrapping, _async_wrapping)]
    found += [functools.partial(_wrapping(functools.partial(item))) for item in FUNCTIONS]
    found += [_called_by(_wrapping(item)) for item in FUNCTIONS]
    found += [_wrapping(_called_by(item)) for item in FUNCTIONS]
    found += [functools.lru_cache(item) for item in FUNCTIONS]
    return found


@pytest.mark.parametrize("name", ["is_gen_callable", "is_async_gen_callable", "is_coroutine_callable"])
def test_callables_are_of_the_same_kind(name: str) -> None:
    zoo = [None, *_zoo()]

    def kinds(fw: Framework) -> list[bool]:
        models = fw.module("dependencies.models")
        ask = getattr(models, f"_{name}" if fw.name == "fastapi" else name)
        return [bool(ask(call)) for call in zoo for _ in range(2)]

    oracle, ours = both(kinds)
    assert ours == oracle


def stringified(a: "int", b: "Optional[Undefined]" = None, *, c: "OnlyForCheckers" = 1, d: str = "x") -> "Undefined":  # type: ignore[name-defined,assignment]  # noqa: F821
    ...


def evaluated(a: "int", b: "list[int] | None" = None) -> "Iterable[int]": ...
def nothing(a, /, b=1, *args, c, d=2, **kwargs) -> None: ...  # type: ignore[no-untyped-def]


class Init:
    def __init__(self, a: int, b: "str" = "") -> None: ...


class InitLess: ...


@pytest.mark.parametrize(
    "call",
    [stringified, evaluated, nothing, Init, InitLess, functools.partial(evaluated, 1), _wrapping(stringified), len, 5],
)
def test_signatures_are_read_alike(call: Any) -> None:
    def read(fw: Framework) -> Any:
        utils = fw.module("dependencies.utils")
        return plain(utils.get_typed_signature(call)), plain(utils.get_typed_return_annotation(call))

    oracle, ours = both(read)
    assert ours == oracle


@pytest.mark.parametrize("call", [function, nothing, evaluated, coroutine])
def test_the_short_way_of_reading_parameters_gives_what_the_long_one_gives(call: Any) -> None:
    from forzium.dependencies.signature import get_typed_signature, typed_parameters

    whole = get_typed_signature(call).parameters.values()
    assert typed_parameters(call) == [(item.name, item.annotation, item.default) for item in whole]


@pytest.mark.parametrize(
    "annotation",
    [
        Iterable[int],
        Generator[str, None, None],
        AsyncIterator[bytes],
        Iterable,
        list[int],
        int,
        None,
        Any,
    ],
)
def test_items_of_streams_are_of_the_same_type(annotation: Any) -> None:
    oracle, ours = both(lambda fw: fw.module("dependencies.utils").get_stream_item_type(annotation))
    assert ours == oracle


def test_trees_and_cache_keys_are_the_same() -> None:
    def build(fw: Framework) -> Any:
        from_models = fw.module("dependencies.models")
        private = fw.name == "fastapi"
        cache_key = from_models._get_cache_key if private else from_models.cache_key
        scheme = fw.security.OAuth2PasswordBearer(tokenUrl="token")

        def database(q: int = 1) -> Any:
            yield q

        async def token(scopes: fw.security.SecurityScopes, found: Annotated[str, fw.Depends(scheme)]) -> None: ...
        def user(a: Any = fw.Security(token, scopes=["one", "two"]), b: Any = fw.Depends(database)) -> None: ...
        def limited(a: Annotated[Any, fw.Depends(database, scope="function", max_concurrency=2)]) -> None: ...

        class Klass:
            def __init__(self, request: fw.Request, limit: int = 3) -> None: ...

        def endpoint(
            a: Any = fw.Security(user, scopes=["three", "one"]),
            b: Any = fw.Depends(user, use_cache=False),
            c: Klass = fw.Depends(),
            d: Any = fw.Depends(limited),
            e: Any = fw.Depends(functools.partial(database, q=2)),
        ) -> None: ...

        dependant = fw.module("dependencies.utils").get_dependant(path="/", call=endpoint)

        def keys(node: Any) -> Any:
            call, scopes, scope = cache_key(dependant=node) if private else cache_key(node)
            return [getattr(call, "__name__", type(call).__name__), scopes, scope, [keys(n) for n in node.dependencies]]

        return dependant_facts(dependant), keys(dependant)

    oracle, ours = both(build)
    assert ours == oracle
