"""forzium under the servers and inside the applications that people run, without special flags.

What fastapi answers through httpx's in-process transport is what every host must deliver from forzium.
"""

from __future__ import annotations

import contextlib
import functools
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import fastapi
import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from websockets import ConnectionClosed, InvalidStatus, Subprotocol
from websockets.sync.client import connect

import forzium
from e2e import hosted, servers

HERE = Path(__file__).parent
Answers = list[tuple[int, list[tuple[str, str]], bytes]]


async def in_process(app: Any, prefix: str = "", state: dict[str, str] | None = None) -> Answers:
    """The answers to all calls through httpx's ASGI transport."""

    async def with_state(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await app({**scope, "state": dict(state or {"from_lifespan": "yes"})}, receive, send)

    transport = httpx.ASGITransport(with_state, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", trust_env=False) as client:
        answers = []
        for call in hosted.CALLS:
            answers.append(hosted.record(await client.request(call.method, prefix + call.url, **call.options)))
            client.cookies.clear()
        return answers


@functools.cache
def expected() -> Answers:
    """What fastapi answers, called in process."""
    return anyio.run(in_process, hosted.build("fastapi"))


def over_a_socket(port: int) -> Answers:
    """The answers to all calls over loopback, on one kept connection."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
        answers = []
        for call in hosted.CALLS:
            answers.append(hosted.record(client.request(call.method, call.url, **call.options)))
            client.cookies.clear()
        return answers


HOSTS = {
    "uvicorn, asyncio, h11": ["-m", "uvicorn", "served:app", "--loop", "asyncio", "--http", "h11"],
    "uvicorn, asyncio, httptools": ["-m", "uvicorn", "served:app", "--loop", "asyncio", "--http", "httptools"],
    "uvicorn, uvloop, h11": ["-m", "uvicorn", "served:app", "--loop", "uvloop", "--http", "h11"],
    "uvicorn, uvloop, httptools": ["-m", "uvicorn", "served:app", "--loop", "uvloop", "--http", "httptools"],
    "hypercorn, asyncio": ["-m", "hypercorn", "served:app", "-k", "asyncio"],
    "hypercorn, trio": ["-m", "hypercorn", "served:app", "-k", "trio"],
    "granian, asyncio": ["-m", "granian", "served:app", "--interface", "asgi", "--loop", "asyncio"],
    "granian, uvloop": ["-m", "granian", "served:app", "--interface", "asgi", "--loop", "uvloop"],
}


@contextlib.contextmanager
def host(command: list[str]) -> Iterator[tuple[int, servers.Server]]:
    """Run a server; it inherits a listening socket, except granian, which takes a port number only."""
    env = servers.environment(HERE)
    if "granian" in command:
        port = servers.free_port()
        with servers.run([*command, "--host", "127.0.0.1", "--port", str(port)], env=env, cwd=HERE) as server:
            server.wait_until_answering(port)
            yield port, server
        return
    with servers.listening_socket() as listener:
        fd = listener.fileno()
        bind = ["--fd", str(fd)] if "uvicorn" in command else ["--bind", f"fd://{fd}"]
        with servers.run([*command, *bind], env=env, cwd=HERE, inherit=[fd]) as server:
            port = listener.getsockname()[1]
            server.wait_until_answering(port)
            yield port, server


@pytest.mark.parametrize("name", HOSTS)
def test_a_server_delivers_what_fastapi_answers(name: str) -> None:
    with host(HOSTS[name]) as (port, server):
        answers = over_a_socket(port)
        assert server.returncode() is None
        log = server.output()
    for call, found, wanted in zip(hosted.CALLS, answers, expected(), strict=True):
        assert found == wanted, f"{call.method} {call.url}\n{log}"
    assert "RuntimeError: the endpoint is broken" in log


SOCKETS = {
    "uvicorn, websockets": [*HOSTS["uvicorn, asyncio, h11"], "--ws", "websockets"],
    "uvicorn, wsproto": [*HOSTS["uvicorn, uvloop, httptools"], "--ws", "wsproto"],
    **{name: command for name, command in HOSTS.items() if "uvicorn" not in name},
}


@pytest.mark.parametrize("name", SOCKETS)
def test_a_server_carries_a_websocket(name: str) -> None:
    with host(SOCKETS[name]) as (port, server):
        base = f"ws://127.0.0.1:{port}"
        with connect(f"{base}/echo/7?q=%C3%BC", subprotocols=[Subprotocol("tea")], proxy=None) as socket:
            assert socket.subprotocol == "tea"
            for text in ("one", "é" * 70_000):
                socket.send(text)
                assert json.loads(socket.recv(timeout=servers.START_DEADLINE)) == [7, "ü", "open", text]
            socket.send("close")
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=servers.START_DEADLINE)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (3001, "as asked")
        for path in ("/nowhere", "/echo/seven"):
            with pytest.raises(InvalidStatus) as refused, connect(base + path, proxy=None):
                pass
            assert refused.value.response.status_code == 403, path
        assert server.returncode() is None
        assert "Traceback" not in server.output()


@pytest.mark.parametrize("name", HOSTS)
def test_a_client_that_leaves_ends_its_endpoint(name: str) -> None:
    command = [part.replace("served:app", "waiting:app") for part in HOSTS[name]]
    with host(command) as (port, server):
        for number in (1, 2):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET /wait/%d HTTP/1.1\r\nhost: test\r\n\r\n" % number)
                server.wait_for_line(f"{number}: waits")
            server.wait_for_line(f"{number}: cancelled")
            server.wait_for_line(f"{number}: cleaned up")
        assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code == 404
        assert server.returncode() is None
        assert "Traceback" not in server.output()


def test_a_failing_start_up_stops_the_server_as_it_does_for_fastapi(tmp_path: Path) -> None:
    source = (
        "import {0}\n"
        "from contextlib import asynccontextmanager\n"
        "@asynccontextmanager\n"
        "async def lifespan(app):\n"
        "    raise OSError('no database')\n"
        "    yield\n"
        "app = {0}.FastAPI(lifespan=lifespan)\n"
    )
    statuses = {}
    for framework in ("fastapi", "forzium"):
        (tmp_path / f"on_{framework}.py").write_text(source.format(framework), encoding="utf-8")
        command = ["-m", "uvicorn", f"on_{framework}:app", "--port", "0"]
        with servers.run(command, env=servers.environment(tmp_path), cwd=tmp_path) as server:
            statuses[framework] = server.wait(), "OSError: no database" in server.output()
    assert statuses["forzium"] == statuses["fastapi"]


@pytest.mark.anyio
async def test_httpx_calls_it_in_process() -> None:
    assert await in_process(hosted.build("forzium")) == await in_process(hosted.build("fastapi"))


def _inside_starlette(inner: Any) -> Any:
    return Starlette(routes=[Mount("/inner", inner)])


def _inside(outer: Any) -> Any:
    def mount(inner: Any) -> Any:
        app = outer()
        app.mount("/inner", inner)
        return app

    return mount


MOUNTS = {
    "forzium inside starlette": (_inside_starlette, "forzium"),
    "forzium inside fastapi": (_inside(fastapi.FastAPI), "forzium"),
    "forzium inside forzium": (_inside(forzium.FastAPI), "forzium"),
    "fastapi inside forzium": (_inside(forzium.FastAPI), "fastapi"),
    "starlette inside forzium": (
        _inside(forzium.FastAPI),
        lambda: Starlette(routes=[Mount("/", hosted.build("fastapi"))]),
    ),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", MOUNTS)
async def test_mounting_changes_no_answer(name: str) -> None:
    mount, inner = MOUNTS[name]
    wanted = await in_process(_inside(fastapi.FastAPI)(hosted.build("fastapi")), "/inner")
    app = mount(inner() if callable(inner) else hosted.build(inner))
    assert await in_process(app, "/inner") == wanted
