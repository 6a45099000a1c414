"""What is measured: a request each, and the answer that every framework must give to it.

Not for: how to answer (the modules beside this one) or how to measure (``benches/python``, ``benches/http``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

ROUTES = 500
CHUNKS = [b"chunk %02d of a hundred\n" % number for number in range(100)]


class Item(BaseModel):
    """The body of the model scenarios."""

    name: str
    price: float
    description: str | None = None
    tags: list[str] = []


ITEM: dict[str, Any] = {"name": "teapot", "price": 24.5, "description": "holds a litre", "tags": ["tea", "clay"]}
BIG: list[dict[str, Any]] = [{"id": number, "seen": True, "weight": number / 8, **ITEM} for number in range(8_000)]
ROWS: list[dict[str, Any]] = [{**ITEM, "name": f"teapot {number}", "price": number + 0.5} for number in range(100)]


UPLOAD = bytes(range(256)) * 4_096
_BOUNDARY = b"0f1e2d3c4b5a"
_MULTIPART = (
    b"--" + _BOUNDARY + b"\r\n"
    b'content-disposition: form-data; name="file"; filename="picture.bin"\r\n'
    b"content-type: application/octet-stream\r\n\r\n" + UPLOAD + b"\r\n--" + _BOUNDARY + b"--\r\n"
)


@dataclass(frozen=True)
class Scenario:
    """One request and the answer to it.

    Attributes:
        title: The row's name in the tables.
        target: Path and query.
        status: The status every framework must answer.
        answer: The body: a JSON value, raw bytes, or None where each framework words its own error.
        in_flight: Requests at a time.
        goal: Least factor over fastapi that the design asks for, in process.
        streams: Whether the answer is sent in parts while `receive` is watched for the client's leaving.
    """

    title: str
    target: str = "/"
    method: str = "GET"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    status: int = 200
    answer: Any = field(default_factory=lambda: {"hello": "world"})
    in_flight: int = 1
    goal: float = 0
    streams: bool = False

    def answered_by(self, status: int, body: bytes) -> bool:
        """Whether that is the answer."""
        if status != self.status:
            return False
        if self.answer is None:
            return True
        if isinstance(self.answer, bytes):
            return body == self.answer
        try:
            return bool(json.loads(body) == self.answer)
        except ValueError:
            return False

    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """What a client sends, with this scenario's own."""
        return [
            (b"host", b"127.0.0.1:8000"),
            (b"user-agent", b"bench/1.0"),
            (b"accept", b"*/*"),
            (b"accept-encoding", b"gzip, deflate"),
            *self.headers,
            *([(b"content-length", b"%d" % len(self.body))] if self.body else []),
        ]


_JSON = ((b"content-type", b"application/json"),)
_THREE = {"one": 1, "two": 2}

SCENARIOS: dict[str, Scenario] = {
    "dict": Scenario("async endpoint, small dict", goal=25),
    "path-query": Scenario(
        "typed path and query parameters",
        target="/items/42?q=tea&limit=10",
        answer={"item_id": 42, "q": "tea", "limit": 10},
        goal=30,
    ),
    "model": Scenario(
        "pydantic body in, same model out",
        method="POST",
        target="/items",
        headers=_JSON,
        body=json.dumps(ITEM, separators=(",", ":")).encode(),
        answer=ITEM,
        goal=12,
    ),
    "list-100": Scenario("`response_model=list[Item]`, 100 dicts", target="/items", answer=ROWS, goal=2),
    "dependencies": Scenario(
        "five dependencies, two with `yield`, header and cookie",
        target="/",
        headers=((b"x-token", b"secret"), (b"cookie", b"session=abc123; theme=dark")),
        answer={"token": "secret", "session": "abc123", "user": "ann", "connection": "open", "transaction": "begun"},
        goal=20,
    ),
    "sync": Scenario("plain `def` endpoint, one at a time", goal=3.5),
    "sync-64": Scenario("plain `def` endpoint, 64 in flight", in_flight=64, goal=15),
    "sync-dependencies": Scenario("`def` endpoint, two `def` dependencies, one at a time", answer=_THREE, goal=6),
    "sync-dependencies-64": Scenario(
        "`def` endpoint, two `def` dependencies, 64 in flight", answer=_THREE, in_flight=64, goal=15
    ),
    "form": Scenario(
        "urlencoded form, two typed fields",
        method="POST",
        headers=((b"content-type", b"application/x-www-form-urlencoded"),),
        body=b"name=tea+pot&amount=3",
        answer={"name": "tea pot", "amount": 3},
        goal=15,
    ),
    "upload": Scenario(
        "multipart upload of 1 MiB",
        method="POST",
        headers=((b"content-type", b"multipart/form-data; boundary=" + _BOUNDARY),),
        body=_MULTIPART,
        answer={"filename": "picture.bin", "size": len(UPLOAD)},
        goal=3,
    ),
    "stream-100": Scenario("streaming response, 100 chunks", answer=b"".join(CHUNKS), goal=4, streams=True),
    "http-exception": Scenario("`HTTPException`", status=418, answer=None, goal=20),
    "not-found": Scenario("404", target="/no/such/path", status=404, answer=None, goal=20),
    "invalid": Scenario("422", target="/items/forty-two?q=tea&limit=ten", status=422, answer=None, goal=20),
    "background": Scenario("background task", goal=20),
    "request": Scenario(
        "`Request` object: header, query, url",
        target="/seen?q=tea",
        headers=((b"x-token", b"secret"),),
        answer={"token": "secret", "q": "tea", "url": "http://127.0.0.1:8000/seen?q=tea"},
        goal=15,
    ),
    "middleware": Scenario("CORS, GZip and TrustedHost", headers=((b"origin", b"http://localhost:3000"),), goal=20),
    "http-middleware": Scenario('two `@app.middleware("http")`', goal=25),
    "json-out": Scenario("1 MB of JSON out, no model", answer=BIG, goal=3),
    "json-in": Scenario(
        "1 MB of JSON in, no model",
        method="POST",
        headers=_JSON,
        body=json.dumps(BIG, separators=(",", ":")).encode(),
        answer={"rows": len(BIG)},
        goal=3,
    ),
    "route-500": Scenario(f"last of {ROUTES} routes", target=f"/route{ROUTES - 1}/42", answer={"id": 42}, goal=200),
}
