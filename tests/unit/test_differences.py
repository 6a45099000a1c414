"""Where forzium does the right thing instead of FastAPI's, shown on both: ``docs/compatibility.md``, row by row."""

from typing import Any

import pytest
from conformance.harness import Framework, Outcome, Request, exchange, frameworks


def build(fw: Framework) -> Any:
    app = fw.FastAPI()
    response = fw.responses.Response

    @app.get("/echo/{number}")
    async def echo(number: float):
        return number

    @app.get("/surrogate")
    async def surrogate():
        return "\ud800"

    @app.get("/ping")
    async def ping():
        return "pong"

    @app.get("/header")
    async def header():
        return response("x", headers={"x-own": "a\r\nx-forged: b"})

    @app.get("/status/{status}")
    async def status(status: int):
        return response("x", status_code=status)

    @app.get("/length")
    async def length():
        return response("x", headers={"content-length": "5"})

    @app.get("/exponent")
    async def exponent():
        return 1e-7

    return app


def both(request: Request) -> tuple[Outcome, Outcome]:
    theirs, ours = (exchange(build(fw), request) for fw in frameworks())
    return theirs, ours


@pytest.mark.parametrize(
    ("target", "theirs", "ours"),
    [
        ("/echo/nan", (500, b"Internal Server Error"), (200, b"null")),
        ("/echo/-inf", (500, b"Internal Server Error"), (200, b"null")),
        ("/surrogate", (500, b"Internal Server Error"), (200, b'"\\ud800"')),
        ("/ping%0A", (200, b'"pong"'), (404, b'{"detail":"Not Found"}')),
        ("/header", (200, b"x"), (500, b"Internal Server Error")),
        ("/status/0", (0, b"x"), (500, b"Internal Server Error")),
        ("/status/1000", (1000, b"x"), (500, b"Internal Server Error")),
        ("/exponent", (200, b"1e-07"), (200, b"1e-7")),
    ],
)
def test_the_answers_differ(target: str, theirs: tuple[int, bytes], ours: tuple[int, bytes]) -> None:
    assert tuple((outcome.status, outcome.body) for outcome in both(Request(target))) == (theirs, ours)


def test_a_wrong_content_length_is_put_right() -> None:
    theirs, ours = both(Request("/length"))
    assert (dict(theirs.headers)["content-length"], dict(ours.headers)["content-length"]) == ("5", "1")


def test_a_client_that_wants_no_gzip_gets_none() -> None:
    def compressed(fw: Framework) -> Any:
        app = build(fw)
        app.add_middleware(fw.module("middleware.gzip").GZipMiddleware, minimum_size=1)
        return app

    request = Request("/ping", headers=(("accept-encoding", "gzip;q=0"),))
    theirs, ours = (dict(exchange(compressed(fw), request).headers) for fw in frameworks())
    assert theirs["content-encoding"] == "gzip"
    assert "content-encoding" not in ours
