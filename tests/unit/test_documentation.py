"""The documentation's examples: each is a file, the pages show these files, and they do what the pages say."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

import forzium
from forzium.testclient import AsyncTestClient
from forzium.websockets import WebSocketDisconnect

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def load(name: str) -> ModuleType:
    """An example, imported from its file."""
    spec = importlib.util.spec_from_file_location(f"documentation_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def client(app: Any) -> httpx.AsyncClient:
    """A client of an application in this process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", trust_env=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_its_examples_as_they_are(page: Path) -> None:
    blocks = re.findall(r"(?ms)(?:^<!-- (\S+\.py) -->\n)?^```python\n(.*?)^```$", page.read_text(encoding="utf-8"))
    for name, block in blocks:
        assert name, f"a Python block of {page.name} names no file:\n{block}"
        assert block == (ROOT / name).read_text(encoding="utf-8"), name


def test_every_example_is_shown_on_a_page() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert not [file.name for file in EXAMPLES.glob("*.py") if f"<!-- docs/examples/{file.name} -->" not in text]


@pytest.mark.anyio
async def test_the_first_application() -> None:
    async with client(load("first").app) as http:
        assert (await http.get("/items/7?q=tea")).json() == {"item_id": 7, "q": "tea"}
        assert (await http.get("/items/seven")).status_code == 422
        created = await http.post("/items", json={"name": "tea", "price": 2})
        assert (created.status_code, created.json()) == (201, {"name": "tea", "price": 2.0, "tags": []})
        assert (await http.get("/openapi.json")).json()["info"]["title"] == "First"


def test_more_middleware(capfd: pytest.CaptureFixture[str]) -> None:
    from forzium.testclient import TestClient

    http = TestClient(load("more_middleware").app, base_url="https://test")
    assert http.get("/me").json() == "nobody"
    login = http.post("/login?name=ada", headers={"x-request-id": "from-the-proxy"})
    assert login.headers["x-request-id"] == "from-the-proxy"
    assert capfd.readouterr().err == "WARNING from-the-proxy ada has logged in\n"
    assert http.get("/me").json() == "ada"
    late = http.get("/slow")
    assert (late.status_code, late.json()) == (504, {"detail": "Gateway Timeout"})
    assert http.get("/reports/yearly").json() == "long"


@pytest.mark.anyio
async def test_disconnects() -> None:
    module = load("disconnects")
    async with client(module.app) as http:
        assert (await http.get("/reports/2026")).json() == 12
        assert module.rows == []
    left = [{"type": "http.request"}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return left.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/reports/2026", "query_string": b"", "headers": []}
    await module.app(scope, receive, send)
    assert sent == []
    assert module.rows == []


@pytest.mark.anyio
async def test_background_tasks() -> None:
    module = load("background_tasks")
    async with client(module.app) as http:
        assert [(await http.post(f"/orders/{item}")).status_code for item in ("tea", "coffee")] == [200, 404]
        assert [(await http.post(f"/mails/{address}")).status_code for address in ("ann@b.c", "nobody")] == [200, 422]
    assert (module.attempts, module.mails) == (["tea", "coffee"], ["ann@b.c"])


@pytest.mark.anyio
async def test_middleware() -> None:
    async with client(load("middleware").app) as http:
        asked = {"accept-encoding": "gzip;q=0.5, zstd", "origin": "https://shop.example"}
        long, short = [await http.get(f"/words?count={count}", headers=asked) for count in (500, 1)]
        assert long.headers["content-encoding"] == "zstd"
        assert long.json() == ["tea"] * 500
        assert "content-encoding" not in short.headers
        assert short.headers["access-control-allow-origin"] == "https://shop.example"
        assert long.headers["x-version"] == "1"
        assert (await http.get("/words", headers={"host": "elsewhere.example"})).status_code == 400


@pytest.mark.anyio
async def test_dependencies() -> None:
    module = load("dependencies")
    async with client(module.app) as http:
        answer = await http.get("/me", headers={"x-token": "secret"})
        assert answer.json() == {"account": "ann", "through": "a connection"}
        assert (await http.get("/me", headers={"x-token": "wrong"})).status_code == 401
    assert module.log == ["opened", "closed"] * 2


@pytest.mark.anyio
async def test_lifespan_dependencies() -> None:
    module = load("lifespan_dependencies")
    async with AsyncTestClient(module.app) as http:
        assert module.log == ["pool opened"]
        for _ in range(2):
            assert (await http.get("/me")).json() == {"through": "connection 4"}
        module.app.dependency_overrides[module.pool] = lambda: module.Pool(1)
        assert (await http.get("/me")).json() == {"through": "connection 0"}
    assert module.log == ["pool opened", "pool closed"]


@pytest.mark.anyio
async def test_responses() -> None:
    async with client(load("responses").app) as http:
        assert (await http.get("/products")).json() == [{"name": "tea", "price": "4.50"}]
        created = await http.post("/products", json={"name": "jar", "price": 1})
        assert (created.status_code, created.headers["location"]) == (201, "/products/jar")
        assert (await http.get("/health")).text == "well"


@pytest.mark.anyio
async def test_events() -> None:
    async with client(load("events").app) as http:
        events = [f'data: {{"done":{done},"of":2}}\n\n' for done in range(3)]
        assert (await http.get("/progress")).text == "".join(events)
        named = ': begin\nretry: 2000\n\nevent: finished\ndata: {"done": 2}\nid: 2\n\n'
        assert (await http.get("/named")).text == named
        assert (await http.get("/lines")).text == '{"done":1,"of":1}\n'


@pytest.mark.anyio
async def test_documentation_pages() -> None:
    async with client(load("documentation_pages").app) as http:
        assert (await http.get("/openapi.json")).json()["info"]["x-logo"] == {"url": "/logo.png"}
        for page in ("/docs", "/redoc"):
            assert not re.findall(r'(?:src|href)="(?!/)', (await http.get(page)).text)
        assert (await http.get("/docs-assets/swagger-ui-dist/swagger-ui.css")).status_code == 200


@pytest.mark.anyio
async def test_pages_and_files(tmp_path: Path) -> None:
    files = {
        "templates/hello.html": "<link href=\"{{ url_for('static', path='/site.css') }}\">Hello {{ name }}",
        "static/site.css": "body {}",
        "static/report.csv": "1,2",
        "built/index.html": "the application",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    async with client(load("pages_and_files").site(tmp_path)) as http:
        assert (await http.get("/hello/ann")).text == '<link href="http://test/static/site.css">Hello ann'
        assert (await http.get("/static/site.css", headers={"range": "bytes=0-3"})).text == "body"
        report = await http.get("/report")
        assert report.headers["content-disposition"] == "attachment; filename*=utf-8''report%202026.csv"
        assert (await http.get("/members/")).status_code == 401
        page = {"x-user": "ann", "accept": "text/html"}
        assert (await http.get("/members/any/page", headers=page)).text == "the application"


@pytest.mark.anyio
async def test_streaming() -> None:
    async with client(load("streaming").app) as http:
        assert (await http.get("/rows")).text == "row 0\nrow 1\nrow 2\n"


@pytest.mark.anyio
async def test_mounting() -> None:
    async with client(load("mounting").app) as http:
        assert (await http.get("/")).json() == {"served by": "fastapi"}
        assert (await http.get("/fast/items/3")).json() == {"item_id": 3}


def test_explaining() -> None:
    assert str(load("explaining").plan).startswith("GET /items/1: native")


def test_json_values() -> None:
    load("json_values")


def test_testing_with_coroutines() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "testing_async.py"]
    installed = {**os.environ, "PYTHONPATH": str(Path(forzium.__file__).resolve().parents[1])}
    done = subprocess.run(command, cwd=EXAMPLES, env=installed, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.anyio
async def test_websockets() -> None:
    async with AsyncTestClient(load("websockets").app) as http:
        async with http.websocket_connect("/rooms/7", headers={"x-token": "ann"}) as ann:
            await ann.send_text("hello")
            assert await ann.receive_json() == {"room": 7, "from": "Ann", "text": "hello"}
        for path in ("/rooms/7", "/rooms/seven"):
            with pytest.raises(WebSocketDisconnect) as refused:
                await http.websocket_connect(path).__aenter__()
            assert refused.value.code == 1008


@pytest.mark.anyio
async def test_mounted_lifespans() -> None:
    async with AsyncTestClient(load("mounted_lifespans").app) as http:
        assert (await http.get("/reports/")).json() == "connected"


def test_testing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    try:
        module = load("testing")
        module.test_an_item_is_read()
        module.test_a_number_is_asked_for()
    finally:
        sys.modules.pop("first", None)
