"""Jinja2 templates inside an application: what they see, what they answer, and how they fail."""

from pathlib import Path
from typing import Any

import jinja2
import pytest

from conformance.harness import Framework, Request, compare

TEMPLATES = {
    "first/page.html": "{{ name }} {{ url_for('item', number=3) }} {{ url_for('files', path='/a.txt') }} {{ request.method }}",
    "first/processed.html": "{{ added }} {{ name }}",
    "first/no_route.html": "{{ url_for('nowhere') }}",
    "first/two_names.html": "{{ url_for('item', number=3, name='n') }}",
    "first/broken.html": "{% if",
    "first/undefined.html": "[{{ nobody }}] {{ nobody.knows }}",
    "second/only_here.html": "{{ name }}",
    "second/text.txt": "{{ name }}",
    "second/page.html": "never: the first directory has it",
}
NAMES = [name.partition("/")[2] for name in TEMPLATES] + ["missing.html", "../second/text.txt", ""]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("templates")
    for name, text in TEMPLATES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    return root


def application(fw: Framework, folder: Path, kind: str) -> Any:
    loader = jinja2.FileSystemLoader([folder / "first", folder / "second"])
    own = jinja2.Environment(loader=loader, autoescape=False, undefined=jinja2.StrictUndefined)
    if kind == "environment with its own url_for":
        own.globals["url_for"] = lambda *given, **more: f"own {given} {sorted(more)}"

    def added(request: Any) -> dict[str, Any]:
        return {"added": request.url.path, "name": "from a processor"}

    make = fw.module("templating").Jinja2Templates
    if kind == "directory":
        templates = make(folder / "first")
    elif kind == "directories":
        templates = make(
            [str(folder / "first"), folder / "second"], context_processors=[added, lambda request: {"x": 1}]
        )
    else:
        templates = make(env=own)

    app = fw.FastAPI()
    app.mount("/files", fw.module("staticfiles").StaticFiles(directory=folder), name="files")

    @app.get("/item/{number}", name="item")
    def read_item(number: int): ...

    @app.get("/sync")
    def page(request: fw.Request, template: str):  # type: ignore[name-defined]
        return templates.TemplateResponse(request, template, {"name": "<é>"}, status_code=201, headers={"x-own": "1"})

    @app.get("/async")
    async def bare_page(request: fw.Request, template: str):  # type: ignore[name-defined]
        return templates.TemplateResponse(request=request, name=template, media_type="text/x-own")

    return app


@pytest.mark.parametrize("kind", ["directory", "directories", "environment", "environment with its own url_for"])
def test_templates_are_answered_alike(folder: Path, kind: str):
    requests = [Request(f"/{way}?template={name}") for name in NAMES for way in ("sync", "async")]
    below = Request(
        "/proxy/sync?template=page.html", scope={"root_path": "/proxy"}, headers=(("host", "example.com:81"),)
    )
    compare(lambda fw: application(fw, folder, kind), *requests, below, backends=("asyncio",))
