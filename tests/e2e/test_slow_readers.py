"""A client that stops reading stops the stream, and one that leaves ends it, over a real socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from e2e import servers, streaming

HERE = Path(__file__).parent
# What may lie between the generator and a client that does not read: the buffers of the server and of two sockets. Bytes.
MOST_ON_THE_WAY = 16 * 1024 * 1024


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with servers.listening_socket() as listener:
        command = ["-m", "uvicorn", "streaming:app", "--fd", str(listener.fileno()), "--loop", request.param]
        with servers.run(command, env=servers.environment(HERE), cwd=HERE, inherit=[listener.fileno()]) as server:
            found = listener.getsockname()[1]
            server.wait_until_answering(found)
            yield found
            assert "Traceback" not in server.output()


@pytest.mark.parametrize("name", ["sync-lines", "async-lines", "events", "raw", "returned"])
def test_a_reader_that_stops_stops_the_stream_and_one_that_leaves_ends_it(port: int, name: str) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /%s HTTP/1.1\r\nhost: test\r\n\r\n" % name.encode())
            assert connection.recv(12) == b"HTTP/1.1 200"
            chunks = client.get(f"/produced/{name}").json()
        assert chunks * streaming.CHUNK < MOST_ON_THE_WAY
        assert client.get(f"/closed/{name}").json() is True
