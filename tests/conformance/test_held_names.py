"""Names that modules of FastAPI and Starlette hold because they import them: found in the same place under the alias."""

import importlib
import json
import pkgutil
import subprocess
import sys
from types import ModuleType

import fastapi
import starlette

from forzium import _reexports

# Modules that FastAPI and Starlette keep to themselves; the names libraries take from them are their own.
PRIVATE = (
    "._body_limit",
    "._compat",
    "._exception_handler",
    "._form_limits",
    "._utils",
    "telemetry._",
    "__main__",
    ".cli",
)
# What nobody takes from there: a mark of the parser, names of type parameters and of shapes, pieces of a page of
# HTML, optional packages, what stands under another name.
LEFT_OUT = {
    "annotations",
    "T",
    "P",
    "AsyncContentStream",
    "BodyStreamGenerator",
    "PyExtraColor",
    "cli_main",
    "copy",
} | {*("CENTER_LINE", "FRAME_TEMPLATE", "JS", "LINE", "STYLES", "TEMPLATE", "shlex", "yaml")}

ASK = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
from forzium import _alias
_alias.install()
asked = json.load(sys.stdin)
lost = [f"{module}.{name}" for module, names in asked.items() for name in names
        if not hasattr(importlib.import_module(module), name)]
print(json.dumps(lost))
"""


def modules() -> dict[str, ModuleType]:
    """The modules of both packages that are for everybody."""
    names = [package.__name__ for package in (fastapi, starlette)] + [
        found.name
        for package in (fastapi, starlette)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    return {name: importlib.import_module(name) for name in names if not any(part in name for part in PRIVATE)}


def test_every_name_that_a_module_holds_is_found_there_under_the_alias(recwarn) -> None:
    held = {
        name: [
            each
            for each in vars(module)
            if not each.startswith("_") and each not in LEFT_OUT and f"{name}.{each}" not in sys.modules
        ]
        for name, module in modules().items()
    }
    assert len(held) > 60
    assert sum(map(len, held.values())) > 1400
    done = subprocess.run(
        [sys.executable, "-c", ASK], input=json.dumps(held), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_the_tables_list_what_fastapi_holds_and_nothing_else(recwarn) -> None:
    for name, listed in _reexports._HELD.items():
        theirs: set[str] = set()
        for package in ("fastapi", "starlette"):
            try:
                theirs |= vars(importlib.import_module(package + name.removeprefix("forzium"))).keys()
            except ModuleNotFoundError:
                continue
        assert set(listed.split()) <= theirs, name


def test_every_listed_name_leads_somewhere() -> None:
    for held, (home, there) in _reexports._places().items():
        found = importlib.import_module(home)
        assert there is None or hasattr(found, there), held
