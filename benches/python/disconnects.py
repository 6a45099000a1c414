"""What `cancel_on_disconnect` costs: microseconds a request with it and without, for an endpoint that waits and one that
does not.

    python benches/python/disconnects.py [--requests N] [--rounds N]

The host is in process, on asyncio: `send` is a coroutine that returns, `receive` is uvicorn's in miniature, which gives
the request and then waits for an `asyncio.Event`. Short rounds take turns, in processor time of the thread, so that other
work on the machine counts little; shown are medians. What the host spends in its own two `receive()`, the second of which
is closed, is measured by itself and shown apart.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
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
    began = time.thread_time()
    for _ in range(requests):
        host = Host()
        await app(dict(scope), host.receive, host.send)
    return (time.thread_time() - began) / requests * 1e6


def hosts_share(requests: int) -> float:
    """Microseconds that the host itself spends when it is listened to."""
    began = time.thread_time()
    for _ in range(requests):
        Host()
    without = time.thread_time() - began
    began = time.thread_time()
    for _ in range(requests):
        host = Host()
        try:
            host.receive().send(None)
        except StopIteration:
            pass
        waiting = host.receive()
        waiting.send(None)
        waiting.close()
    return (time.thread_time() - began - without) / requests * 1e6


async def main(requests: int, rounds: int) -> None:
    without, with_it = application(cancels=False), application(cancels=True)
    for path in ("/returns", "/waits"):
        alone, listening, host = [], [], []
        for _ in range(rounds):
            alone.append(await measured(without, path, requests))
            listening.append(await measured(with_it, path, requests))
            host.append(hosts_share(requests) if path == "/waits" else 0)
        more = [after - before for before, after in zip(alone, listening, strict=True)]
        ours = [each - share for each, share in zip(more, host, strict=True)]
        print(
            f"{path[1:]:8} without {statistics.median(alone):6.2f} us, difference {statistics.median(more):5.2f} us: "
            f"the host's receive() {statistics.median(host):5.2f} us, forzium {statistics.median(ours):5.2f} us"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=400)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.requests, arguments.rounds))
