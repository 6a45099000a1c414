"""What an echoed WebSocket message costs inside the ASGI callable, forzium beside its peers.

    python benches/python/websocket_echo.py [--rounds N] [--messages N]

An endpoint receives text and sends it back until the client leaves, as each framework's documentation writes it. The
host's `receive` and `send` are Python coroutines: "at once" ones that never wait, and "waiting" ones, where `receive`
gives way to the event loop once a message. "host" is these two alone, awaited in turn: what no framework can save.
"bare" reads and writes the messages by hand. All take turns in one process; a figure is the median over the rounds. The
last column is what the framework adds to the host, as a part of what Starlette adds.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import report  # noqa: E402

TEXT = "hello, hello"


def host() -> Any:
    """Receive and send, nothing else."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            await send(message)

    return app


def bare() -> Any:
    """An ASGI function written by hand."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": message["text"]})

    return app


def fastapi_api(name: str) -> Any:
    """FastAPI and forzium."""
    fw = importlib.import_module(name)
    app = fw.FastAPI()

    async def endpoint(websocket: Any) -> None:
        await websocket.accept()
        try:
            while True:
                text = await websocket.receive_text()
                await websocket.send_text(text)
        except fw.WebSocketDisconnect:
            pass

    endpoint.__annotations__["websocket"] = fw.WebSocket
    app.websocket("/")(endpoint)
    return app


def starlette() -> Any:
    """Starlette."""
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocket, WebSocketDisconnect

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                text = await websocket.receive_text()
                await websocket.send_text(text)
        except WebSocketDisconnect:
            pass

    return Starlette(routes=[WebSocketRoute("/", endpoint)])


def litestar() -> Any:
    """Litestar."""
    from litestar import Litestar, WebSocket, websocket
    from litestar.exceptions import WebSocketDisconnect

    async def endpoint(socket: Any) -> None:
        await socket.accept()
        try:
            while True:
                text = await socket.receive_text()
                await socket.send_text(text)
        except WebSocketDisconnect:
            pass

    endpoint.__annotations__ = {"socket": WebSocket, "return": None}
    return Litestar([websocket("/")(endpoint)])


def falcon() -> Any:
    """Falcon."""
    import falcon.asgi

    class Echo:
        async def on_websocket(self, request: Any, socket: Any) -> None:
            await socket.accept()
            try:
                while True:
                    text = await socket.receive_text()
                    await socket.send_text(text)
            except falcon.WebSocketDisconnected:
                pass

    app = falcon.asgi.App()
    app.ws_options.max_receive_queue = 0  # nothing is dropped when the client leaves
    app.add_route("/", Echo())
    return app


BUILD: dict[str, Callable[[], Any]] = {
    "host": host,
    "bare": bare,
    "forzium": lambda: fastapi_api("forzium"),
    "fastapi": lambda: fastapi_api("fastapi"),
    "starlette": starlette,
    "litestar": litestar,
    "falcon": falcon,
}


async def microseconds(app: Any, messages: int, waiting: bool) -> float:
    """One connection on which `messages` texts are echoed: microseconds a message."""
    left, connected, echoed = messages, False, 0

    async def receive() -> dict[str, Any]:
        nonlocal left, connected
        if waiting:
            await asyncio.sleep(0)
        if not connected:
            connected = True
            return {"type": "websocket.connect"}
        if left == 0:
            return {"type": "websocket.disconnect", "code": 1000}
        left -= 1
        return {"type": "websocket.receive", "text": TEXT}

    async def send(message: Any) -> None:
        nonlocal echoed
        echoed += message.get("text") == TEXT

    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "scheme": "ws",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "subprotocols": [],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
        "extensions": {},
    }
    start = time.perf_counter_ns()
    await app(scope, receive, send)
    spent = time.perf_counter_ns() - start
    if echoed != messages:
        raise SystemExit(f"{echoed} of {messages} messages were echoed")
    return spent / messages / 1_000


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each (default: %(default)s)")
    parser.add_argument("--messages", type=int, default=20_000, help="messages a connection (default: %(default)s)")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    apps = {}
    for name, build in BUILD.items():
        try:
            apps[name] = build()
        except ImportError as error:
            print(f"{name}: not measured ({error})", file=sys.stderr)
    columns: dict[str, dict[str, float]] = {}
    for title, waiting in (("at once", False), ("waiting", True)):
        figures: dict[str, list[float]] = {name: [] for name in apps}
        for _ in range(options.rounds):
            for name, app in apps.items():
                figures[name].append(asyncio.run(microseconds(app, options.messages, waiting)))
        columns[title] = {name: statistics.median(found) for name, found in figures.items()}
    rows = []
    for name in apps:
        cells = [name]
        for found in columns.values():
            added = (found[name] - found["host"]) / (found["starlette"] - found["host"])
            cells += [report.number(found[name]), report.number(added)]
        rows.append(cells)
    head = [cell for title in columns for cell in (title, "of starlette's")]
    print(report.table(["µs a message", *head], rows))


if __name__ == "__main__":
    main()
