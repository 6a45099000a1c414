"""Files of forms: closed however the request ends, written to the disk in a thread, and no slower client's business."""

import asyncio
import gc
import os
import tempfile
import threading
import warnings
from collections.abc import Iterator
from typing import Annotated, Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from forzium import FastAPI, File, Form, Request, UploadFile
from forzium.formparsers import MultiPartParser

from .asgi import Host, Message, http_scope

SPOOL = MultiPartParser.spool_max_size
KIND = [(b"content-type", b"multipart/form-data; boundary=BND")]
HEAD = b'--BND\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
END = b"\r\n--BND--"
OPEN = "/dev/fd"


def pieces(body: bytes, size: int = 64 * 1024, *, more: bool = False) -> list[Message]:
    cut = [body[at : at + size] for at in range(0, len(body), size)]
    return [
        {"type": "http.request", "body": each, "more_body": more or at + 1 < len(cut)} for at, each in enumerate(cut)
    ]


def application(seen: list[Any]) -> FastAPI:
    app = FastAPI(openapi_url=None, form_limits={"max_fields": 0, "max_files": 2})

    @app.post("/")
    async def take(file: UploadFile, more: Annotated[list[bytes], File()] = []) -> Any:
        seen.append(file)
        return {"size": file.size, "on disk": file.file._rolled, "more": [len(each) for each in more]}  # type: ignore[attr-defined]

    @app.post("/bytes")
    def take_bytes(file: Annotated[bytes, File()]) -> Any:
        return len(file)

    @app.post("/fails")
    async def fail(file: UploadFile, number: Annotated[int, Form()] = 1) -> Any:
        seen.append(file)
        raise RuntimeError("after the upload")

    @app.post("/request")
    async def by_hand(request: Request) -> Any:
        form = await request.form()
        seen.extend(form.values())
        await form.close()

    return app


@pytest.fixture(autouse=True)
def open_files(request: pytest.FixtureRequest) -> Iterator[None]:
    """No file is left open, nor left to the collector to close."""
    if "anyio_backend" in request.fixturenames:
        run(request.getfixturevalue("anyio_backend"), anyio.sleep, 0)  # what a loop opens once it keeps
    gc.collect()
    before = len(os.listdir(OPEN)) if os.path.isdir(OPEN) else 0
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        yield
        gc.collect()
    assert (len(os.listdir(OPEN)) if os.path.isdir(OPEN) else 0) <= before


def run(backend: Any, function: Any, *args: Any) -> Any:
    name, options = backend if isinstance(backend, tuple) else (backend, {})
    return anyio.run(function, *args, backend=name, backend_options=options)


async def exchange(app: Any, path: str, messages: list[Message]) -> Host:
    host = Host(messages)
    await app(http_scope(path, "POST", headers=KIND), host.receive, host.send)
    return host


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The files that were opened on the disk, and the threads that did."""
    found: list[Any] = []
    original = tempfile.SpooledTemporaryFile.rollover

    def rollover(self: Any) -> None:
        if not self._rolled:
            found.append((self, threading.current_thread()))
        original(self)

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", rollover)
    return found


@pytest.mark.parametrize("size", [0, 1, SPOOL, SPOOL + 1, 3 * SPOOL])
def test_a_file_moves_to_the_disk_above_a_size_in_a_worker_thread(
    size: int, anyio_backend: Any, opened: list[Any]
) -> None:
    seen: list[Any] = []
    host = run(anyio_backend, exchange, application(seen), "/", pieces(HEAD + bytes(size) + END))
    on_disk = b"true" if size > SPOOL else b"false"
    assert host.body == b'{"size":%d,"on disk":%b,"more":[]}' % (size, on_disk)
    assert [file.file.closed for file in seen] == [True]
    assert [thread is threading.main_thread() for _, thread in opened] == [False] * (size > SPOOL)


@pytest.mark.parametrize("path", ["/", "/bytes", "/request"])
@pytest.mark.parametrize("size", [10, 2 * SPOOL])
def test_a_client_that_leaves_in_mid_body_leaves_no_file_open(
    path: str, size: int, anyio_backend: Any, opened: list[Any]
) -> None:
    seen: list[Any] = []
    host = run(anyio_backend, exchange, application(seen), path, pieces(HEAD + bytes(size), more=True))
    assert seen == []
    if path != "/request":
        assert (host.status, host.body) == (400, b'{"detail":"There was an error parsing the body"}')
    assert [file.closed for file, _ in opened] == [True] * (size > SPOOL)


@pytest.mark.parametrize(
    ("rest", "detail"),
    [
        (b"", b"Invalid multipart data."),
        (
            b'\r\n--BND\r\nContent-Disposition: form-data; name="a"\r\n\r\nx' + END,
            b"Too many fields. Maximum number of fields is 0.",
        ),
        (2 * (b"\r\n" + HEAD) + END, b"Too many files. Maximum number of files is 2."),
        (b"\r\n--BND\r\nno header" + END, b"Invalid multipart data."),
        (b"\r\n--BND\r\n\r\n" + END, b'The Content-Disposition header field \\"name\\" must be provided.'),
    ],
)
def test_a_refused_body_leaves_no_file_open(rest: bytes, detail: bytes, anyio_backend: Any, opened: list[Any]) -> None:
    body = HEAD + bytes(2 * SPOOL) + rest
    host = run(anyio_backend, exchange, application([]), "/", pieces(body))
    assert (host.status, host.body) == (400, b'{"detail":"%b"}' % detail)
    assert [file.closed for file, _ in opened] == [True]


def test_files_are_closed_after_an_error_of_the_endpoint(anyio_backend: Any, opened: list[Any]) -> None:
    seen: list[Any] = []

    async def fails() -> None:
        with pytest.raises(RuntimeError, match="after the upload"):
            await exchange(application(seen), "/fails", pieces(HEAD + bytes(2 * SPOOL) + END))

    run(anyio_backend, fails)
    assert [file.file.closed for file in seen] == [True]


def test_a_file_on_the_disk_is_read_as_bytes(anyio_backend: Any) -> None:
    host = run(anyio_backend, exchange, application([]), "/bytes", pieces(HEAD + bytes(2 * SPOOL) + END))
    assert host.body == b"%d" % (2 * SPOOL)


def test_a_request_cancelled_in_mid_body_leaves_no_file_open(anyio_backend: Any, opened: list[Any]) -> None:
    async def cancelled() -> None:
        messages = pieces(HEAD + bytes(2 * SPOOL), more=True)
        waiting = anyio.Event()

        async def receive() -> Message:
            await anyio.lowlevel.checkpoint()
            if messages:
                return messages.pop(0)
            waiting.set()
            await anyio.sleep_forever()
            raise AssertionError

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(application([]), http_scope("/", "POST", headers=KIND), receive, Host().send)
            await waiting.wait()
            tasks.cancel_scope.cancel()

    run(anyio_backend, cancelled)
    assert [file.closed for file, _ in opened] == [True]


def test_a_request_cancelled_while_a_thread_opens_a_file_leaves_no_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    original = tempfile.SpooledTemporaryFile.rollover
    gate, files = threading.Event(), []

    async def cancelled() -> None:
        limiter = anyio.to_thread.current_default_thread_limiter()
        limiter.total_tokens = 1
        begun = anyio.Event()

        def rollover(self: Any) -> None:
            files.append(self)
            anyio.from_thread.run_sync(begun.set)
            assert gate.wait(20)
            original(self)

        monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", rollover)
        host = Host(pieces(HEAD + bytes(2 * SPOOL) + END))
        work = application([])(http_scope("/", "POST", headers=KIND), host.receive, host.send)
        task = asyncio.ensure_future(work)
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()
        async with limiter:  # until the thread is free
            pass

    anyio.run(cancelled, backend="asyncio")
    assert [file.closed for file in files] == [True]


def test_a_request_abandoned_in_mid_body_leaves_no_file_open(opened: list[Any]) -> None:
    host = Host(pieces(HEAD + bytes(10), more=True), pauses=("receive",))
    work = application([])(http_scope("/", "POST", headers=KIND), host.receive, host.send).__await__()
    assert [work.send(None), work.send(None)] == ["receive", "receive"]
    del work
    assert opened == []
