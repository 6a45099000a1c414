"""The public names of the lower modules, and what their callables take, against Starlette's and FastAPI's."""

import inspect
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

MODULES = [
    *(
        [
            "_utils",
            "background",
            "concurrency",
            "config",
            "convertors",
            "datastructures",
            "exceptions",
            "formparsers",
            "requests",
        ]
    ),
    *(["schemas", "status", "types", "logger", "exception_handlers"]),
]
RENAMED = {
    ("starlette.datastructures", "UploadFile"): "StarletteUploadFile",
    ("starlette.exceptions", "HTTPException"): "StarletteHTTPException",
    ("starlette.exceptions", "WebSocketException"): "StarletteWebSocketException",
}


BORROWED = [import_module(name) for name in ("typing", "collections.abc", "contextlib", "enum", "pydantic")]


def public(module: ModuleType) -> dict[str, Any]:
    """The names a module defines; one of aliases has nothing else that could tell them from what it imports."""
    aliases = module.__name__.endswith(".types")
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and type(value).__name__ not in ("TypeVar", "ParamSpec", "_Feature")
        and not any(getattr(owner, name, None) is value for owner in BORROWED)
        and (aliases or getattr(value, "__module__", None) == module.__name__ or name.isupper())
    }


def shape(call: Any) -> Any:
    """Parameters, with those defaults that can be compared."""
    try:
        signature = inspect.signature(call)
    except (ValueError, TypeError):
        return None
    return [
        (p.name, p.kind, p.default if isinstance(p.default, int | str | float | None) else type(p.default).__name__)
        for p in signature.parameters.values()
    ]


@pytest.mark.parametrize("module", [f"{root}.{name}" for root in ("starlette", "fastapi") for name in MODULES])
def test_every_public_name_is_there_and_takes_the_same(module: str) -> None:
    try:
        reference = import_module(module)
    except ModuleNotFoundError:
        pytest.skip(f"there is no {module}")
    mine = import_module(f"forzium.{module.partition('.')[2]}")
    for name, theirs in public(reference).items():
        ours = getattr(mine, RENAMED.get((module, name), name))
        if isinstance(theirs, int):
            assert ours == theirs, name
        if not callable(theirs) or module.endswith(".types"):
            continue
        assert shape(ours) == shape(theirs), name
        if not inspect.isclass(theirs):
            continue
        assert ours.__name__ == theirs.__name__
        for member, method in vars(theirs).items():
            if not member.startswith(("_", "on_")):  # callbacks of a library that does not read these forms
                assert hasattr(ours, member) or member in ours.__annotations__, f"{name}.{member}"
                if inspect.isfunction(method):
                    assert shape(getattr(ours, member)) == shape(method), f"{name}.{member}"


def test_renamed_status_codes_warn_alike() -> None:
    ours, theirs = import_module("forzium.status"), import_module("starlette.status")
    assert dir(ours) == dir(theirs)
    for name in theirs.__deprecated__:
        with pytest.warns(UserWarning, match=name) as mine:
            value = getattr(ours, name)
        with pytest.warns(UserWarning, match=name) as reference:
            assert value == getattr(theirs, name)
        assert str(mine[0].message) == str(reference[0].message)
        assert mine[0].category.__name__ == reference[0].category.__name__
    with pytest.raises(AttributeError):
        ours.HTTP_999  # noqa: B018
