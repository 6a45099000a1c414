"""What `cancel_on_disconnect` costs: microseconds a request with it and without, for an endpoint that waits and one that
does not.

    python benches/python/disconnects.py [--requests N] [--rounds N]

The host is in process, on asyncio: `send` is a coroutine that returns, `receive` is uvicorn's in miniature, which gives
the request and then waits for an `asyncio.Event`. Rounds take turns; the smallest of each is shown. What the host spends
in its own two `receive()`, the second of which is closed, is measured by itself and shown apart.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from typing import Any

from forzium import FastAPI


class Host:
    """One connection that stays open."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.begun = False

    async def receive(self) -> dict[str, Any]:
        if self.begun:
            await self.event.wait()
            return {"type": "http.disconnect"}
        self.begun = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: dict[str, Any]) -> None:
        pass


def application(*, cancels: bool) -> FastAPI:
    app = FastAPI(openapi_url=None, cancel_on_disconnect=cancels)

    @app.get("/waits")
    async def waits() -> dict[str, int]:
        await asyncio.sleep(0)
        return {"a": 1}

    @app.get("/returns")
    async def returns() -> dict[str, int]:
        return {"a": 1}

    return app


async def measured(app: FastAPI, path: str, requests: int) -> float:
    """Microseconds a request."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
    }
    gc.collect()
    began = time.perf_counter()
    for _ in range(requests):
        host = Host()
        await app(dict(scope), host.receive, host.send)
    return (time.perf_counter() - began) / requests * 1e6


def hosts_share(requests: int) -> float:
    """Microseconds that the host itself spends when it is listened to."""
    began = time.perf_counter()
    for _ in range(requests):
        Host()
    without = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(requests):
        host = Host()
        try:
            host.receive().send(None)
        except StopIteration:
            pass
        waiting = host.receive()
        waiting.send(None)
        waiting.close()
    return (time.perf_counter() - began - without) / requests * 1e6


async def main(requests: int, rounds: int) -> None:
    without, with_it = application(cancels=False), application(cancels=True)
    for path in ("/returns", "/waits"):
        best = {without: float("inf"), with_it: float("inf")}
        host = float("inf")
        for _ in range(rounds):
            for app in best:
                best[app] = min(best[app], await measured(app, path, requests))
            host = min(host, hosts_share(requests)) if path == "/waits" else 0
        print(
            f"{path[1:]:8} without {best[without]:6.2f} us, with {best[with_it]:6.2f} us, "
            f"of the difference the host's receive() {host:5.2f} us, "
            f"forzium {best[with_it] - best[without] - host:5.2f} us"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.requests, arguments.rounds))
