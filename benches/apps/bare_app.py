"""A hand-written ASGI function that knows the answer beforehand: what the protocol itself costs."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from apps.scenarios import CHUNKS, SCENARIOS, Scenario


def constant(scenario: Scenario) -> Any:
    """Send the scenario's answer in two messages."""
    body = scenario.answer
    if not isinstance(body, bytes):
        body = json.dumps(body, separators=(",", ":")).encode()
    status = scenario.status
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def stream() -> Any:
    """Send the chunks, one message each."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        for chunk in CHUNKS:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


# Where a framework must run Python in a worker thread, a constant would not be the floor of the same work.
BUILD: dict[str, Callable[[], Any]] = {
    name: functools.partial(constant, scenario) for name, scenario in SCENARIOS.items() if "sync" not in name
} | {"stream-100": stream}
