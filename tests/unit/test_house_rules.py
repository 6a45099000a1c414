"""Rules of this repository that no linter knows: layers, names, documents that stay true."""

from __future__ import annotations

import ast
import importlib
import itertools
import logging
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar, get_origin

import pytest

import forzium

ROOT = Path(__file__).resolve().parents[2]
BINDING = ROOT / "rust" / "forzium-py" / "src"
PACKAGE = ROOT / "forzium"


def tracked_files() -> list[Path]:
    """Files under version control, or all but build products where this is no checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]
    skip = {"target", "dist", "__pycache__", ".git"}
    return [
        p for p in ROOT.rglob("*") if p.is_file() and not any(part in skip or part[:5] == ".venv" for part in p.parts)
    ]


# ---------------------------------------------------------------- Rust: layers


def declared_layers() -> list[set[str]]:
    """The layers that ``lib.rs`` declares, from the ground up; rustfmt sorts the modules within each."""
    layers: list[set[str]] = []
    for line in (BINDING / "lib.rs").read_text(encoding="utf-8").splitlines():
        if re.match(r"// \d+\. ", line):
            layers.append(set())
        elif found := re.match(r"(?:pub )?mod (\w+);", line):
            layers[-1].add(found[1])
    return layers


def documented_layers() -> list[list[str]]:
    """The layers that ``docs/architecture.md`` draws, each in order, from the ground up."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("<!-- layers -->")[2].partition("<!-- /layers -->")[0]
    return [re.findall(r"`(\w+)/?`", line) for line in section.splitlines() if re.match(r"\d+\. ", line)]


def used_modules(source: str) -> set[str]:
    """The top-level modules that a file names after ``crate::``, in `use` lines and in paths."""
    source = re.sub(r"//[^\n]*", "", source)
    names = set(re.findall(r"\bcrate::(\w+)", source))
    for start in (found.end() for found in re.finditer(r"\bcrate::\{", source)):
        depth, name = 1, ""
        for char in source[start:]:
            depth += (char == "{") - (char == "}")
            if depth == 0 or (char == "," and depth == 1):
                names.update(re.findall(r"^\s*(\w+)", name))
                name = ""
            else:
                name += char
            if depth == 0:
                break
    return names


def rust_modules() -> Iterator[tuple[str, Path]]:
    """Each file of the binding with the top-level module it belongs to."""
    for file in BINDING.rglob("*.rs"):
        top = file.relative_to(BINDING).parts[0].removesuffix(".rs")
        if top != "lib":
            yield top, file


def test_the_documented_layers_are_those_of_lib_rs_and_complete() -> None:
    assert [set(layer) for layer in documented_layers()] == declared_layers()
    assert sorted(itertools.chain(*documented_layers())) == sorted({top for top, _ in rust_modules()})


@pytest.mark.parametrize(("module", "file"), sorted(rust_modules()), ids=lambda value: getattr(value, "stem", ""))
def test_a_module_uses_only_what_stands_above_it(module: str, file: Path) -> None:
    layers = documented_layers()
    order = list(itertools.chain(*layers))
    stages = next(set(layer) for layer in layers if "send" in layer)
    allowed = set(order[: order.index(module)]) | {module}
    if module in stages:
        allowed -= stages - {module}
    # Only modules count: a name may also be an item of lib.rs, which has none.
    assert used_modules(file.read_text(encoding="utf-8")) & set(order) <= allowed


def test_the_core_knows_no_python_and_no_runtime() -> None:
    manifest = (ROOT / "rust" / "forzium-core" / "Cargo.toml").read_text(encoding="utf-8")
    assert not re.search(r"^(pyo3|tokio)\b", manifest, re.M)
    assert "forbid(unsafe_code)" in (ROOT / "rust" / "forzium-core" / "src" / "lib.rs").read_text(encoding="utf-8")


def test_no_rust_file_is_named_for_what_it_is_not_about() -> None:
    vague = {"utils", "util", "common", "helpers", "helper", "misc"}
    assert not [file for file in (ROOT / "rust").glob("*/src/**/*.rs") if vague & {*file.parts, file.stem}]


# ---------------------------------------------------------------- Python: layers and names


def _module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_at_load(file: Path) -> set[str]:
    """The modules of the package that a file imports when it is loaded itself, not for type checking or on first use."""
    found: set[str] = set()

    def visit(body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "forzium":
                found.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
            elif isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names if alias.name.startswith("forzium."))
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                visit(node.orelse)
            elif isinstance(node, (ast.If, ast.Try, ast.With)):
                visit([child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)])

    visit(ast.parse(file.read_text(encoding="utf-8")).body)
    return found


def test_imports_between_the_modules_of_the_package_run_one_way() -> None:
    used_by = {_module_name(file): imports_at_load(file) for file in PACKAGE.rglob("*.py")}
    # A module of a package may name that package: it is being loaded already.
    graph = {
        name: {other for other in used if other in used_by and not f"{name}.".startswith(f"{other}.")}
        for name, used in used_by.items()
    }
    done: set[str] = set()
    while ready := {name for name, used in graph.items() if name not in done and used <= done}:
        done |= ready
    assert not {name: sorted(graph[name] - done) for name in graph.keys() - done}, (
        "these import one another in a circle"
    )


def test_every_exported_name_is_there() -> None:
    assert sorted(forzium.__all__) == sorted(set(forzium.__all__))
    assert not [name for name in forzium.__all__ if not hasattr(forzium, name)]
    assert forzium.FastAPI is forzium.ForziumApp


# Modules of FastAPI that are no part of its surface, or that forzium has no use for.
_WITHOUT_TWIN = {"fastapi._compat", "fastapi.cli", "fastapi.__main__"}


def _public_modules(package: str) -> Iterator[str]:
    folder = Path(str(importlib.import_module(package).__file__)).parent
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder).with_suffix("").parts
        name = ".".join((package, *(part for part in parts if part != "__init__")))
        if not any(part.startswith("_") and part != "__init__" for part in parts) and name not in _WITHOUT_TWIN:
            yield name


def _public_names(source: str) -> Iterator[str]:
    """What a module defines, and what it re-exports by ``import X as X``."""
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if alias.asname == alias.name)


@pytest.mark.parametrize("name", [*_public_modules("fastapi"), *_public_modules("starlette")])
def test_every_public_name_of_the_peers_has_a_namesake(name: str) -> None:
    if name.endswith("middleware.wsgi"):
        pytest.skip("deprecated: warns on import")
    peer = importlib.import_module(name)
    ours = importlib.import_module("forzium" + name.removeprefix(name.split(".")[0]))
    source = Path(str(peer.__file__)).read_text(encoding="utf-8")
    names = {n for n in _public_names(source) if not n.startswith("_")}
    inner = (TypeVar, ParamSpec, logging.Logger, str)  # type variables, loggers, templates of pages
    values = {n: getattr(peer, n) for n in names if hasattr(peer, n)}
    surface = {n for n, value in values.items() if not isinstance(value, inner) and get_origin(value) is None}
    assert not sorted(n for n in surface if not hasattr(ours, n))


# ---------------------------------------------------------------- documents


def fenced_blocks_under(heading: str) -> list[str]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.split(r"(?m)^#+ ", readme.partition(f"# {heading}\n")[2])[0]
    return re.findall(r"(?ms)^```\w*\n(.*?)^```", section)


@pytest.mark.parametrize(("heading", "command"), [("Run it", "sh scripts/run\n"), ("Test it", "sh scripts/test\n")])
def test_the_readme_gives_exactly_one_command_line(heading: str, command: str) -> None:
    assert fenced_blocks_under(heading)[0] == command


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.name
)
def test_links_within_the_repository_lead_somewhere(file: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```", "", file.read_text(encoding="utf-8"))
    targets = [t.partition("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", t)]
    assert not [target for target in targets if target and not (file.parent / target).exists()]


def test_no_file_names_one_persons_machine() -> None:
    folders = ("home/", "work/", "Users/", "root/.", "root/venv", "tmp/w/")
    private = re.compile("|".join(re.escape(f"/{folder}") for folder in folders))
    named = []
    for file in tracked_files():
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        named += [f"{file.relative_to(ROOT)}: {line}" for line in text.splitlines() if private.search(line)]
    assert not named
