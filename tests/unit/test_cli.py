"""The command line, on programs written for FastAPI."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forzium import cli

PROGRAM = """
from forzium import APIRouter, FastAPI
from forzium.routing import Mount, Route

app = other = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
router = APIRouter(prefix="/things")

@router.get("/{thing_id}")
def read_thing(thing_id: int): ...

@app.post("/", name="create")
def make(): ...

@app.websocket("/ws")
async def ws(websocket): ...

app.include_router(router, prefix="/v1")
app.mount("/sub", FastAPI(docs_url=None, redoc_url=None), name="sub")

def factory():
    return app
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a program, as the current one; modules imported from it are forgotten afterwards."""
    (tmp_path / "main.py").write_text(PROGRAM)
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "server.py").write_text("from . import settings\n" + PROGRAM)
    (package / "settings.py").write_text("")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "broken.py").write_text("import unheard_of_module")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("main", "package", "empty", "broken"):
            del sys.modules[name]


LISTED = """\
POST       /                      create
WEBSOCKET  /ws                    ws
GET        /v1/things/{thing_id}  read_thing
MOUNT      /sub                   sub
GET,HEAD   /sub/openapi.json      openapi
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["main:app"],
        ["main:factory()"],
        ["main"],
        ["main.py", "--app", "other"],
        [],
        ["."],
        ["-e", "package.server:app"],
        ["package/server.py"],
    ],
    ids=" ".join,
)
def test_routes_are_listed(project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]):
    assert cli.main(["routes", "--no-alias", *arguments]) == 0
    assert capsys.readouterr().out == LISTED


@pytest.mark.parametrize("tool", ["forzium", "fastapi"])
def test_the_entrypoint_of_a_project_is_the_default(project: Path, capsys: pytest.CaptureFixture[str], tool: str):
    (project / "pyproject.toml").write_text(f'[tool.{tool}]\nentrypoint = "package.server:app"\n')
    (project / "main.py").unlink()
    assert cli.main(["routes", "--no-alias"]) == 0
    assert capsys.readouterr().out == LISTED


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.py"], "Path does not exist nowhere.py"),
        (["nowhere:app"], "expected a module named 'nowhere'"),
        (["main:missing"], "expected an application named 'missing' in 'main', but found none"),
        (["empty"], "expected an application in 'empty', but found none"),
        (["package"], "Could not find a default file to run"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_found_is_said(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    assert cli.main(["routes", "--no-alias", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_errors_of_the_program_are_its_own(project: Path):
    with pytest.raises(ModuleNotFoundError, match="unheard_of_module"):
        cli.main(["routes", "--no-alias", "broken"])


def _served(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    """What uvicorn is called with."""
    uvicorn = pytest.importorskip("uvicorn")
    called: dict[str, Any] = {}
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: called.update(options, app=app))
    monkeypatch.setenv("FORZIUM_ENTRYPOINT", "")
    monkeypatch.setenv("FORZIUM_ALIAS", "")
    assert cli.main(list(arguments)) == 0
    return called


def test_run_serves_the_world_and_dev_the_developer(project: Path, monkeypatch: pytest.MonkeyPatch):
    run = _served(monkeypatch, "run", "--no-alias", "main:app")
    assert (run["host"], run["port"], run["reload"], run["workers"]) == ("0.0.0.0", 8000, False, None)
    assert run["app_dir"] == str(project)
    dev = _served(monkeypatch, "dev", "--no-alias", "main:app", "--port", "9000", "--root-path", "/api")
    assert (dev["host"], dev["port"], dev["reload"], dev["root_path"]) == ("127.0.0.1", 9000, True, "/api")


def test_the_servers_processes_load_the_application(project: Path, monkeypatch: pytest.MonkeyPatch):
    called = _served(monkeypatch, "run", "--no-alias", "package/server.py", "--app", "other")
    assert called["app"] == "forzium.cli:load_application"
    assert called["factory"]
    assert cli.load_application() is sys.modules["package.server"].other


def test_without_uvicorn_it_says_what_to_install(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert cli.main(["run", "--no-alias", "main:app"]) == 1
    assert 'pip install "uvicorn[standard]"' in capsys.readouterr().err
