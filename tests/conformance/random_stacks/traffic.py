"""Draws the exchanges with an application: requests, conversations, lifespans, each with what every part does in it.

Stands on `applications` and `driver`.
"""

import json
import re
from random import Random
from typing import Any

from .applications import VALUES, Application
from .driver import Step

CALLS = (
    *("accept", "accept", "accept", "accept protocol", "accept headers", "receive", "receive_text", "receive_text"),
    *("receive_bytes", "receive_json", "receive_json binary", "iter_text", "iter_bytes", "iter_json", "send_text hi"),
    *(
        "send_bytes hi",
        "send_json",
        "send_json binary",
        "send_wrong",
        "close",
        "close 1001",
        "close 3000 why",
        "denial",
    ),
    *("denial_stream", "raise ws", "raise custom", "raise http", "raise left", "raise value", "sleep", "session"),
    *("raise group", "raise os", 'send {"type": "websocket.bogus"}', 'send {"type": "websocket.send"}'),
    *('send {"type": "websocket.accept"}', 'send {"type": "websocket.close"}', "close 3001"),
    *('send {"type": "websocket.send", "text": "raw", "bytes": null}', "url_for app"),
)
FRAMES: tuple[dict[str, Any], ...] = (
    {"text": "hi"},
    {"text": '{"j": 1}'},
    {"bytes": b"\x00\xff"},
    {"bytes": b"[1]"},
    {"text": "both", "bytes": None},
    {"text": None, "bytes": b"both"},
    {"text": ""},
    {"bytes": b""},
)
# What a scope may lack; not `scheme`, over which Starlette's redirect to https stumbles.
OPTIONAL = ("root_path", "raw_path", "client", "server", "state", "extensions", "subprotocols", "http_version")
ENDS: tuple[dict[str, Any], ...] = (
    {"code": 1001, "reason": "away"},
    {"code": 1000},
    {"code": 1006, "reason": None},
    {"code": 4000, "reason": ""},
)


def draw(rng: Random, application: Application, number: int) -> list[Step]:
    """Draw a lifespan (in two of three cases) and that many exchanges."""
    steps = []
    if rng.random() < 0.6:
        steps.append(_lifespan(rng, application))
    cookies = False
    for _ in range(number):
        is_socket = application.sockets and (not application.http or rng.random() < 0.4)
        step = _socket(rng, application) if is_socket else _request(rng, application)
        if rng.random() < 0.12:
            step.without = tuple(rng.sample(OPTIONAL, rng.randint(1, 4)))
        step.keep_cookies = cookies = rng.random() < 0.7 or cookies
        if application.changes and rng.random() < 0.3:
            step.change = application.changes.pop(0)
        steps.append(step)
    return steps


def _does(rng: Random, application: Application) -> dict[str, str]:
    """What some of the parts do."""
    names = rng.sample(sorted(application.does), min(len(application.does), rng.choice((0, 1, 1, 2, 2, 3))))
    found = {name: rng.choice(application.does[name]) for name in names}
    if application.names and rng.random() < 0.08:
        found["endpoint"] = f"url {rng.choice(application.names)} {rng.choice(('', 'x=1', 'x=1 z=2', 'z=3'))}".strip()
    return found


def _lifespan(rng: Random, application: Application) -> Step:
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    does = {}
    lasting = [name for name in application.does if name[0] in "lv" and name[1:2].isdigit()]
    if lasting and rng.random() < 0.4:
        name = rng.choice(lasting)
        does[name] = rng.choice(application.does[name])
    return Step("lifespan", does=does, messages=messages, has_state=rng.random() < 0.85)


def _headers(rng: Random, application: Application) -> list[tuple[bytes, bytes]]:
    host = rng.choice(application.hosts) if rng.random() < 0.6 else "testserver"
    if rng.random() < 0.06:
        host = rng.choice(("evil.org", "testserver:8000", "www.testserver", ""))
    headers = [(b"host", host.encode())]
    if rng.random() < 0.35:
        headers.append((b"origin", rng.choice((b"https://a.org", b"https://x.b.org", b"https://c.org", b"null"))))
    if rng.random() < 0.4:
        headers.append((b"accept-encoding", rng.choice((b"gzip", b"identity", b"br, gzip;q=0.5"))))
    if rng.random() < 0.1:
        headers.append((b"cookie", rng.choice((b"a=b", b"session=bad", b"s=bad.x.y; a=1"))))
    return headers


def _path(rng: Random, template: str) -> str:
    def value(match: re.Match[str]) -> str:
        key = match[1]
        return rng.choice(VALUES[key] if key in VALUES else VALUES[key.split(":")[0]])

    path = re.sub(r"\{([^}]+)\}", value, template)
    if rng.random() < 0.12:
        path = rng.choice((path + "/", path.rstrip("/"), path + "x", path.replace("/", "//"), "/nowhere", "", path[1:]))
    return path


def _request(rng: Random, application: Application) -> Step:
    method, template = rng.choice(application.http)
    if rng.random() < 0.15:
        method = rng.choice(("GET", "HEAD", "OPTIONS", "POST", "DELETE", "BREW"))
    headers = _headers(rng, application)
    if rng.random() < 0.08:
        method = "OPTIONS"
        headers += [(b"origin", b"https://a.org"), (b"access-control-request-method", rng.choice((b"GET", b"PUT")))]
        if rng.random() < 0.5:
            headers.append((b"access-control-request-headers", rng.choice((b"X-One", b"x-two, accept"))))
    body: Any = b""
    if method in ("POST", "PUT") or rng.random() < 0.15:
        kind = rng.choice(("json", "form", "text"))
        body = {"json": b'{"a": 1}', "form": b"a=1&b=2", "text": b"some text"}[kind]
        media = {"json": b"application/json", "form": b"application/x-www-form-urlencoded", "text": b"text/plain"}
        headers.append((b"content-type", media[kind]))
        headers.append((b"content-length", b"%d" % len(body)))
    chunks = [body] if rng.random() < 0.6 else [body[:3], body[3:]]
    messages = [
        {"type": "http.request", "body": chunk, "more_body": index + 1 < len(chunks)}
        for index, chunk in enumerate(chunks)
    ]
    if rng.random() < 0.1 and chunks == [b""]:
        messages = [{"type": "http.request"}]
    if rng.random() < 0.05:
        messages = [*messages[:-1], {"type": "http.disconnect"}]
    step = Step("http", method, _path(rng, template), headers, messages, _does(rng, application))
    step.scheme = "https" if rng.random() < 0.15 else "http"
    step.root_path = rng.choice(("/root", "/proxy")) if rng.random() < 0.08 else ""
    step.version = rng.choice(("2.3", "2.3", "2.4", "2.0"))
    if rng.random() < 0.05:
        step.breaks_at = rng.choice((0, 1, 2))
    return step


def _socket(rng: Random, application: Application) -> Step:
    messages: list[dict[str, Any]] = [{"type": "websocket.connect"}]
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        messages.append({"type": "websocket.receive", **rng.choice(FRAMES)})
    if rng.random() < 0.07:
        messages.insert(
            rng.randrange(len(messages) + 1), rng.choice(({"type": "websocket.bogus"}, {"type": "websocket.connect"}))
        )
    messages.append({"type": "websocket.disconnect", **rng.choice(ENDS)})
    step = Step("websocket", "", _path(rng, rng.choice(application.sockets)), _headers(rng, application), messages)
    step.does = _does(rng, application)
    if rng.random() < 0.75:
        step.does["calls"] = ";".join(rng.choice(CALLS) for _ in range(rng.randint(1, 7)))
        if rng.random() < 0.6:
            step.does["calls"] = "accept;" + step.does["calls"]
        if rng.random() < 0.5:
            step.does["caught"] = "yes"
    step.denial = rng.random() < 0.5
    if rng.random() < 0.1:
        step.breaks_at = rng.choice((0, 1, 2, 3))
    step.version = "2.4" if rng.random() < 0.3 else "2.3"
    return step


def as_text(step: Step) -> str:
    """A step in one line, for reports."""
    return f"{step.type} {step.method} {step.path!r} {json.dumps(step.does)} {step}"
