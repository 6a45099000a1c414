"""The public classes and functions of routing and applications, and what each takes, against FastAPI's and Starlette's."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

PAIRS = [
    ("fastapi.routing", "forzium.routing"),
    ("starlette.routing", "forzium.routing"),
    ("fastapi.applications", "forzium.applications"),
    ("starlette.applications", "forzium.applications"),
]


def declared_names(module: str) -> list[str]:
    return sorted(
        name
        for name, value in vars(import_module(module)).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module
        and callable(value)
        # type variables
        and (inspect.isclass(value) or inspect.isfunction(value))
    )


NAMES = [(theirs, ours, name) for theirs, ours in PAIRS for name in declared_names(theirs)]


ADDED = {"background_always", "cancel_on_disconnect"}
"""What forzium's own callables take beyond FastAPI's: always by keyword, and optional."""


def default(value: Any) -> Any:
    """A default as something that both frameworks have."""
    if type(value).__name__ == "DefaultPlaceholder":
        return "Default", default(value.value)
    return value.__name__ if inspect.isclass(value) or inspect.isfunction(value) else value


def shape(call: Any) -> Any:
    """What a call takes: positional parameters in their order, the others by name, without those added on purpose."""
    parameters = [
        (p.name, p.kind, default(p.default))
        for p in inspect.signature(call).parameters.values()
        if p.name not in ADDED or p.kind is not inspect.Parameter.KEYWORD_ONLY or p.default is not None
    ]
    keywords = [each for each in parameters if each[1] is inspect.Parameter.KEYWORD_ONLY]
    return [each for each in parameters if each not in keywords], sorted(keywords, key=lambda each: each[0])


def methods(cls: type) -> Iterator[str]:
    for name, value in vars(cls).items():
        if (name == "__init__" or not name.startswith("_")) and inspect.isfunction(value):
            yield name


@pytest.mark.parametrize(("theirs", "ours", "name"), NAMES)
def test_public_names_take_what_the_originals_take(theirs: str, ours: str, name: str) -> None:
    original = getattr(import_module(theirs), name)
    own = getattr(import_module(ours), name)
    if not issubclass(original, BaseException) if inspect.isclass(original) else True:
        assert shape(own) == shape(original)
    if inspect.isclass(original):
        differing = {
            method: (shape(getattr(own, method, None)), shape(getattr(original, method)))
            for method in methods(original)
            if shape(getattr(own, method)) != shape(getattr(original, method))
        }
        assert differing == {}


def test_the_package_exports_what_fastapi_exports() -> None:
    import fastapi

    import forzium

    exported = {name for name in vars(fastapi) if not name.startswith("_")}
    assert [name for name in sorted(exported) if not hasattr(forzium, name)] == []
    assert all(hasattr(forzium, name) for name in forzium.__all__)


@pytest.mark.parametrize("method", ["get", "api_route", "add_api_route", "include_router"])
def test_an_unknown_option_is_refused_alike(method: str) -> None:
    def outcome(package: str, where: str) -> str:
        module = import_module(package)
        target = getattr(module, where)()
        arguments: tuple[Any, ...] = ("/x",)
        if method == "add_api_route":
            arguments = ("/x", print)
        if method == "include_router":
            arguments = (module.APIRouter(),)
        with pytest.raises(TypeError) as caught:
            getattr(target, method)(*arguments, no_such_option=1)
        return str(caught.value)

    for where in ("FastAPI", "APIRouter"):
        assert outcome("forzium", where) == outcome("fastapi", where)
