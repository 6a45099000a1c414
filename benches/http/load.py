"""A small load generator: some kept connections, on each one request at a time, as fast as answers come.

Answers of one scenario have one length, which the first answer tells; after that the generator only counts bytes, so
that it costs much less than the server it measures. Every connection's last answer is compared as a whole.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

from apps.scenarios import Scenario


def request_bytes(scenario: Scenario) -> bytes:
    """The scenario's request on the wire."""
    lines = [f"{scenario.method} {scenario.target} HTTP/1.1".encode()]
    lines += [name + b": " + value for name, value in scenario.all_headers()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + scenario.body


def complete(data: bytes) -> bool:
    """Whether `data` is a whole answer: by content-length, or by the last chunk."""
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        return False
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return len(body) >= int(value)
    return body.endswith(b"0\r\n\r\n")


def parse(data: bytes) -> tuple[int, bytes]:
    """Status and body of a whole answer."""
    head, _, body = data.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        parts, rest = [], body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            parts.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        body = b"".join(parts)
    return int(head.split(b" ", 2)[1]), body


class _Connection(asyncio.Protocol):
    """One request at a time until `stop`."""

    def __init__(self, request: bytes, length: int, done: Callable[[], None]) -> None:
        self._request = request
        self._length = length
        self._done = done
        self._seen = 0
        self._stopping = False
        self.answers = 0
        self.error: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in deed, not by inheritance
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._seen += len(data)
        if self._seen < self._length:
            return
        if self._seen > self._length:
            self.error = f"{self._seen} bytes instead of {self._length}: {data[-200:]!r}"
            self._transport.abort()
            return
        self._seen = 0
        self.answers += 1
        if self._stopping:
            self._transport.close()
        else:
            self._transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._stopping or error:
            self.error = self.error or f"the server closed the connection ({error})"
        self._done()

    def stop(self) -> None:
        self._stopping = True


async def first_answer(port: int, request: bytes) -> bytes:
    """The answer to one request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    data = b""
    while not complete(data):
        part = await reader.read(1 << 16)
        if not part:
            raise ConnectionError(f"the server closed the connection after {data!r}")
        data += part
    writer.close()
    await writer.wait_closed()
    return data


async def requests_per_second(port: int, scenario: Scenario, connections: int, seconds: float) -> float:
    """Load the server for that long.

    Raises:
        ConnectionError: An answer was wrong, or a connection was lost.
    """
    request = request_bytes(scenario)
    answer = await first_answer(port, request)
    if not scenario.answered_by(*parse(answer)):
        raise ConnectionError(f"the server answers {answer[:300]!r}")
    loop = asyncio.get_running_loop()
    finished = asyncio.Event()
    left = connections

    def done() -> None:
        nonlocal left
        left -= 1
        if not left:
            finished.set()

    clients = []
    for _ in range(connections):
        client = _Connection(request, len(answer), done)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
        clients.append(client)
    before, start = sum(client.answers for client in clients), time.perf_counter()
    await asyncio.sleep(seconds)
    answers, elapsed = sum(client.answers for client in clients) - before, time.perf_counter() - start
    for client in clients:
        client.stop()
    await asyncio.wait_for(finished.wait(), 30)
    for client in clients:
        if client.error:
            raise ConnectionError(client.error)
    return answers / elapsed
