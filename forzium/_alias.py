"""Answering ``import fastapi`` and ``import starlette`` with forzium, for programs written for these two.

Layer: the standard library and `_reexports`; the modules of forzium are imported when their aliases are. `install` is
called by the command line (``forzium run``), or by whoever wants it, first thing in a program. Importing forzium never
installs it.

``fastapi.X`` is ``forzium.X``, and so is ``starlette.X``: one package holds both. They differ in few names, where
FastAPI has a subclass of its own of a class of Starlette's; those modules are answered by a stand-in that sends these
names elsewhere.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from forzium._reexports import answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FASTAPI_VERSION = "0.165.0"
"""What ``fastapi.__version__`` answers: libraries ask it which features are there."""

STARLETTE_VERSION = "1.10.0"
"""What ``starlette.__version__`` answers."""

_STARLETTE_MODULES = frozenset(
    {
        "_exception_handler",
        "_utils",
        "applications",
        "authentication",
        "background",
        "concurrency",
        "config",
        "convertors",
        "datastructures",
        "endpoints",
        "exceptions",
        "formparsers",
        "middleware",
        "requests",
        "responses",
        "routing",
        "schemas",
        "staticfiles",
        "status",
        "templating",
        "testclient",
        "types",
        "websockets",
    }
)

# Names of a module that another name of it answers, and constants.
_RENAMED: Mapping[str, Mapping[str, str]] = {
    "starlette.datastructures": {"UploadFile": "StarletteUploadFile"},
    "starlette.exceptions": {
        "HTTPException": "StarletteHTTPException",
        "WebSocketException": "StarletteWebSocketException",
    },
}
_CONSTANTS: Mapping[str, Mapping[str, Any]] = {
    "fastapi": {"__version__": FASTAPI_VERSION},
    "starlette": {"__version__": STARLETTE_VERSION},
}


def _target(name: str) -> str | None:
    """The module of forzium behind an alias; None where there is none."""
    root, _, rest = name.partition(".")
    if root == "starlette" and rest and rest.partition(".")[0] not in _STARLETTE_MODULES:
        return None
    return f"forzium.{rest}" if rest else "forzium"


class StandIn(ModuleType):
    """A module that forwards to another one, but for some names. What is set on it is set there."""

    def __init__(self, name: str, module: ModuleType, renamed: Mapping[str, str], constants: Mapping[str, Any]) -> None:
        super().__init__(name, module.__doc__)
        own = {"_behind": module, "_renamed": renamed, **constants}
        for key, value in own.items():
            ModuleType.__setattr__(self, key, value)
        if hasattr(module, "__path__"):
            ModuleType.__setattr__(self, "__path__", [])

    def __getattr__(self, name: str) -> Any:
        if name in ("_behind", "_renamed"):  # before __init__, as under copy
            raise AttributeError(name)
        return getattr(self._behind, self._renamed.get(name, name))

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__") or isinstance(value, ModuleType):
            super().__setattr__(name, value)
        else:
            setattr(self._behind, self._renamed.get(name, name), value)

    def __delattr__(self, name: str) -> None:
        delattr(self._behind, self._renamed.get(name, name))

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *dir(self._behind)})


class _AliasLoader(Loader):
    """Gives the module behind an alias, or a stand-in for it, instead of executing anything."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self._target)
        answer(module)
        renamed, constants = _RENAMED.get(spec.name, {}), _CONSTANTS.get(spec.name, {})
        if renamed or constants:
            return StandIn(spec.name, module, renamed, constants)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        if self._spec is not None:
            # The import system has put the alias' spec in its place.
            module.__spec__ = self._spec


class AliasFinder(MetaPathFinder):
    """Finds every module of fastapi and starlette in forzium, and refuses what forzium has not.

    The installed packages, if there are any, are never reached: half a program on each would fail in odd ways.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of an alias; None for other modules.

        Raises:
            ModuleNotFoundError: forzium has no such module.
        """
        if fullname.partition(".")[0] not in ("fastapi", "starlette"):
            return None
        name = _target(fullname)
        found = _find(name) if name is not None else None
        if name is None or found is None:
            raise ModuleNotFoundError(
                f"No module named {fullname!r} (answered by forzium, which has none)", name=fullname
            )
        is_package = found.submodule_search_locations is not None or fullname == "starlette"
        spec = ModuleSpec(fullname, _AliasLoader(name), origin=found.origin, is_package=is_package)
        if found.submodule_search_locations is not None:
            spec.submodule_search_locations = list(found.submodule_search_locations)
        return spec


def _find(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            return None
        raise


def is_installed() -> bool:
    """Whether the aliases are answered."""
    return any(isinstance(finder, AliasFinder) for finder in sys.meta_path)


def install() -> None:
    """From now on answer ``import fastapi`` and ``import starlette`` with forzium. Calling it again changes nothing.

    Raises:
        RuntimeError: One of the two was imported before, so that its classes are in use already.
    """
    if is_installed():
        return
    loaded = [name for name in ("fastapi", "starlette") if name in sys.modules]
    if loaded:
        raise RuntimeError(
            f"expected that forzium answers for {' and '.join(loaded)} from the start, but found it imported before: "
            "install the alias first thing in the program"
        )
    sys.meta_path.insert(0, AliasFinder())
