"""Responses where forzium does what HTTP asks and Starlette does not."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from conformance.harness import Request

from forzium import FastAPI
from forzium.requests import ClientDisconnect
from forzium.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse

SPLIT = ["a\rb", "a\nb", "a\0b", "a\r\nset-cookie: x=y"]


class Client:
    """Receives what a response sends; leaves after `patience` messages, as a server of ASGI 2.4 reports it."""

    def __init__(self, patience: int | None = None) -> None:
        self.messages: list[Any] = []
        self.patience = patience

    async def __call__(self, message: Any) -> None:
        if self.patience == len(self.messages):
            raise OSError("the client has left")
        self.messages.append(message)

    async def receive(self) -> Any:
        await anyio.sleep_forever()

    async def get(self, response: Response, method: str = "GET", **scope: Any) -> None:
        scope = {"type": "http", "method": method, "headers": [], "asgi": {"spec_version": "2.4"}, **scope}
        with anyio.fail_after(10):
            await response(scope, self.receive, self)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def length(self) -> bytes | None:
        lengths = [value for name, value in self.messages[0]["headers"] if name == b"content-length"]
        assert len(lengths) < 2
        return lengths[0] if lengths else None


@pytest.mark.parametrize("text", SPLIT)
def test_text_that_would_end_a_header_early_is_refused(text: str) -> None:
    response = Response()
    for attempt in (
        lambda: Response(headers={"x-name": text}),
        lambda: Response(headers={text: "x"}),
        lambda: Response(media_type=text),
        lambda: Response(media_type="text/" + text),
        lambda: FileResponse(__file__, media_type=text),
        lambda: FileResponse(__file__, filename="x", content_disposition_type=text),
        lambda: response.set_cookie("a", path=text),
        lambda: response.set_cookie("a", domain=text),
        lambda: response.set_cookie("a", expires=text),
        lambda: response.headers.update({"x": text}),
        lambda: response.headers.append("x", text),
        lambda: response.headers.setdefault("x", text),
        lambda: response.headers.__setitem__(text, "x"),
    ):
        before = response.raw_headers.copy()
        with pytest.raises(ValueError, match="but found"):
            attempt()
        assert response.raw_headers == before


def test_a_control_character_in_the_value_of_a_cookie_is_escaped() -> None:
    response = Response()
    response.set_cookie("a", "b\r\nc\0\x7f", path=None, samesite=None)
    assert response.raw_headers[-1] == (b"set-cookie", rb'a="b\015\012c\000\177"')


def test_a_cookie_attribute_cannot_bring_another_one_along() -> None:
    with pytest.raises(ValueError, match="cookie Path without control characters and ';'"):
        Response().set_cookie("a", path="/; domain=example.org")


@pytest.mark.parametrize("status_code", [0, 99, 1000, -200])
@pytest.mark.anyio
async def test_a_status_that_http_has_no_room_for_is_refused(status_code: int) -> None:
    for kind in (Response, JSONResponse, StreamingResponse, FileResponse):
        with pytest.raises(ValueError, match=f"100 to 999, but found {status_code}"):
            kind("x", status_code=status_code)
        response = kind("x")
        response.status_code = status_code
        client = Client()
        with pytest.raises(ValueError, match=f"100 to 999, but found {status_code}"):
            await client.get(response)
        assert client.messages == []


@pytest.mark.anyio
async def test_the_length_sent_is_that_of_the_body() -> None:
    changed = Response("hello")
    changed.body = b"bye"
    doubled = Response("hello")
    doubled.raw_headers.append((b"content-length", b"5"))
    for response, expected in (
        (Response("hello", headers={"content-length": "3"}), b"5"),
        (Response(headers={"content-length": "3"}), b"0"),
        (changed, b"3"),
        (doubled, b"5"),
    ):
        client = Client()
        await client.get(response)
        assert client.length == expected == str(len(client.body)).encode()


@pytest.mark.anyio
async def test_an_answer_to_head_may_declare_the_length_of_what_is_not_sent() -> None:
    client = Client()
    await client.get(Response(headers={"content-length": "12345"}), "HEAD")
    assert client.length == b"12345"


@pytest.mark.parametrize("status_code", [100, 204, 304])
@pytest.mark.anyio
async def test_nothing_is_sent_with_a_status_that_has_no_content(status_code: int) -> None:
    client = Client()
    await client.get(Response("hello", status_code, headers={"content-length": "5"}))
    assert client.body == b""
    assert client.length == (b"5" if status_code == 304 else None)


def test_a_lone_surrogate_is_escaped_in_json() -> None:
    assert JSONResponse({"a": "\ud800é"}).body == b'{"a":"\\ud800\\u00e9"}'


def test_json_refuses_what_it_has_no_form_for() -> None:
    with pytest.raises(TypeError, match="object"):
        JSONResponse({"a": object()})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.bin"
    path.write_bytes(b"0123456789" * 100)
    return path


class ChangingFile(FileResponse):
    """Its file gets another length between the announcement and the reading."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(path, stat_result=path.stat())
        path.write_bytes(b"x" * size)


@pytest.mark.parametrize("size", [0, 1, 999])
@pytest.mark.parametrize("wanted", [None, b"bytes=10-", b"bytes=0-0,500-999"])
@pytest.mark.anyio
async def test_a_file_that_shrinks_is_not_sent_as_complete(file: Path, size: int, wanted: bytes | None) -> None:
    client = Client()
    with pytest.raises(RuntimeError, match="is shorter than expected"):
        await client.get(ChangingFile(file, size), headers=[] if wanted is None else [(b"range", wanted)])
    assert all(message.get("more_body", True) for message in client.messages)


@pytest.mark.anyio
async def test_a_file_that_grows_is_cut_where_it_was_announced_to_end(file: Path) -> None:
    client = Client()
    await client.get(ChangingFile(file, 5000))
    assert client.length == b"1000"
    assert len(client.body) == 1000


def test_a_file_that_cannot_be_opened_is_an_error_before_anything_is_sent(file: Path) -> None:
    response = FileResponse(file, stat_result=file.stat())
    file.unlink()
    client = Client()
    with pytest.raises(FileNotFoundError):
        anyio.run(client.get, response)
    assert client.messages == []


def test_a_path_given_to_the_server_is_absolute(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    client = Client()
    anyio.run(lambda: client.get(FileResponse(file.name), extensions={"http.response.pathsend": {}}))
    assert client.messages[1]["path"] == str(file)


def test_a_file_name_no_text_can_hold_is_still_sent(file: Path) -> None:
    response = FileResponse(file, filename="\udcff.txt")
    assert response.headers["content-disposition"] == "attachment; filename*=utf-8''%3F.txt"


@pytest.mark.anyio
async def test_a_client_that_leaves_is_told_from_a_source_that_fails(file: Path) -> None:
    async def failing() -> Any:
        yield b"x"
        raise FileNotFoundError("the source")

    with pytest.raises(FileNotFoundError, match="the source"):
        await Client().get(StreamingResponse(failing()))
    with pytest.raises(ClientDisconnect):
        await Client(patience=1).get(StreamingResponse(iter([b"x"])))
    with pytest.raises(ClientDisconnect):
        await Client(patience=1).get(FileResponse(file))


@pytest.mark.anyio
async def test_an_abandoned_stream_is_closed_at_once() -> None:
    closed = []

    async def source() -> Any:
        try:
            while True:
                yield b"x"
        finally:
            closed.append(True)

    with pytest.raises(ClientDisconnect):
        await Client(patience=3).get(StreamingResponse(source()))
    assert closed == [True]


def test_the_headers_look_like_starlettes() -> None:
    assert repr(PlainTextResponse("x").headers) == (
        "MutableHeaders({'content-length': '1', 'content-type': 'text/plain; charset=utf-8'})"
    )


@pytest.mark.parametrize("status", [103, 204, 304])
@pytest.mark.anyio
async def test_a_status_without_content_has_none_of_a_stream_or_file(tmp_path: Path, status: int) -> None:
    """Starlette sends the chunks and the file, which servers refuse or which break the connection's framing."""
    taken: list[int] = []

    async def chunks() -> Any:
        taken.append(1)
        yield b"chunk"

    (tmp_path / "a.txt").write_text("content")
    app = FastAPI()
    app.get("/stream")(lambda: StreamingResponse(chunks(), status, headers={"content-length": "5"}))
    app.get("/file")(lambda: FileResponse(tmp_path / "a.txt", status))
    for target in ("/stream", "/file"):
        for extensions in ({}, {"http.response.pathsend": {}}):
            sent: list[Any] = []

            async def send(message: Any, sent: list[Any] = sent) -> None:
                sent.append(message)

            scope = Request(target, scope={"extensions": extensions}).asgi_scope()
            with anyio.fail_after(10):
                await app(scope, anyio.sleep_forever, send)  # type: ignore[arg-type]
            start, *rest = sent
            assert start["status"] == status
            assert (b"content-length" in dict(start["headers"])) is (status == 304)
            assert rest == [{"type": "http.response.body", "body": b"", "more_body": False}]
    assert taken == []
