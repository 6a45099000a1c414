"""Files are looked up, opened and read in worker threads: a slow disk does not hold up the loop."""

import builtins
import os
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest
from conformance.harness import Request, exchange

from forzium import FastAPI
from forzium.responses import FileResponse
from forzium.staticfiles import StaticFiles

REQUESTS = [
    "/static/a.txt",
    "/static/",
    "/static/sub",
    "/static/nope",
    "/front/a.txt",
    "/front/",
    "/front/nope",
    "/file",
]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_loop_never_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str):
    for name in ("a.txt", "index.html", "404.html", "sub/index.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    app = FastAPI()
    app.mount("/static", StaticFiles(directory=tmp_path, html=True))
    app.frontend("/front", directory=tmp_path)
    app.get("/file")(_file_endpoint(tmp_path / "a.txt"))
    for target in REQUESTS:  # what is imported late, such as the table of media types, is read then
        exchange(app, Request(target), backend=backend)

    on_the_loop: list[str] = []
    touched: set[str] = set()

    def watched(name: str, function: Any) -> Any:
        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            if str(path).startswith(str(tmp_path)):
                touched.add(name)
                if threading.current_thread() is threading.main_thread():
                    on_the_loop.append(f"{name} {path}")
            return function(path, *arguments, **options)

        return call

    for name in ("stat", "lstat", "open"):
        monkeypatch.setattr(os, name, watched(name, getattr(os, name)))
    monkeypatch.setattr(os.path, "realpath", watched("realpath", os.path.realpath))
    monkeypatch.setattr(os.path, "isdir", watched("isdir", os.path.isdir))
    monkeypatch.setattr("anyio._core._fileio.open", watched("file", builtins.open), raising=False)
    for target in REQUESTS:
        answer = exchange(app, Request(target, headers=(("accept", "text/html"),)), backend=backend)
        assert answer.status in (200, 307, 404)
    assert on_the_loop == []
    assert {"stat", "realpath"} <= touched


def _file_endpoint(path: Path) -> Any:
    async def endpoint() -> FileResponse:
        return FileResponse(path)

    return endpoint


@pytest.mark.anyio
async def test_a_configuration_is_checked_in_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    threads: list[bool] = []
    stat = os.stat

    def watched(*arguments: Any, **options: Any) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return stat(*arguments, **options)

    static = StaticFiles(directory=tmp_path)
    monkeypatch.setattr(os, "stat", watched)
    with anyio.fail_after(10):
        await static.check_config()
    assert threads == [False]
