"""Request ids: made or taken over, at hand everywhere, sent back."""

import logging
from typing import Any

import pytest

from forzium import FastAPI, Request, Response, WebSocket
from forzium.middleware.request_id import RequestIdFilter, RequestIdMiddleware, get_request_id
from forzium.testclient import TestClient


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


def application(**options: Any) -> FastAPI:
    app = FastAPI()
    numbers = iter(range(1, 100))
    app.add_middleware(RequestIdMiddleware, **{"generator": lambda: f"made-{next(numbers)}", **options})

    @app.get("/async")
    async def in_place(request: Request) -> list[str | None]:
        return [request.state.request_id, get_request_id()]

    @app.get("/sync")
    def in_thread(request: Request) -> list[str | None]:
        return [request.state.request_id, get_request_id()]

    @app.get("/own")
    async def own(response: Response) -> None:
        response.headers["X-Request-ID"] = "of the endpoint"

    @app.get("/broken")
    async def broken() -> None:
        raise LookupError

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json([websocket.state.request_id, get_request_id()])
        await websocket.close()

    return app


@pytest.mark.parametrize("path", ["/async", "/sync"])
def test_each_request_has_an_id_of_its_own(path: str, backend: Any) -> None:
    client = TestClient(application(), backend=backend)
    for number in (1, 2):
        response = client.get(path)
        assert response.json() == [f"made-{number}"] * 2
        assert response.headers["x-request-id"] == f"made-{number}"
    assert get_request_id() is None


def test_every_answer_carries_it_but_that_of_the_server_error() -> None:
    client = TestClient(application(header="X-Trace"), raise_server_exceptions=False)
    assert client.get("/nowhere").headers["x-trace"] == "made-1"
    assert "x-trace" not in client.get("/broken").headers


def test_a_header_of_the_endpoint_stays() -> None:
    assert TestClient(application()).get("/own").headers.get_list("x-request-id") == ["of the endpoint"]


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["abc-1"], True),
        (["A" * 128], True),
        (["A" * 129], False),
        ([""], False),
        (["a b"], False),
        (["a\xe9"], False),
        (["one", "two"], False),
        ([], False),
    ],
)
def test_an_incoming_id_is_taken_over_if_it_is_trusted_and_well_formed(given: list[str], taken: bool) -> None:
    headers = [(b"x-request-id", value.encode("latin-1")) for value in given]
    trusting, careful = (TestClient(application(trust_incoming=trust)) for trust in (True, False))
    assert trusting.get("/async", headers=headers).json()[0] == (given[0] if taken else "made-1")
    assert careful.get("/async", headers=headers).json()[0] == "made-1"


def test_who_trusts_may_say_what_is_well_formed() -> None:
    client = TestClient(application(trust_incoming=True, is_valid=str.isdigit))
    assert client.get("/async", headers={"x-request-id": "17"}).json()[0] == "17"
    assert client.get("/async", headers={"x-request-id": "abc"}).json()[0] == "made-1"


def test_a_websocket_has_one_as_well() -> None:
    with TestClient(application()).websocket_connect("/socket") as socket:
        assert socket.receive_json() == ["made-1", "made-1"]
        assert (b"x-request-id", b"made-1") in [(key.lower(), value) for key, value in socket.extra_headers or []]


def test_log_records_carry_it() -> None:
    app = application()
    logger, records = logging.getLogger("test_request_ids"), []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append((record.getMessage(), record.request_id))  # type: ignore[attr-defined]

    handler = Keep()
    handler.addFilter(RequestIdFilter())
    logger.addHandler(handler)

    @app.get("/logs")
    def logs() -> None:
        logger.warning("inside")

    TestClient(app).get("/logs")
    logger.warning("outside")
    logger.removeHandler(handler)
    assert records == [("inside", "made-1"), ("outside", "-")]


@pytest.mark.parametrize("header", ["", "X-Größe"])
def test_a_header_that_is_none_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match="name of a header"):
        RequestIdMiddleware(FastAPI(), header=header)


def test_the_default_id_is_random() -> None:
    app = FastAPI()
    app.add_middleware(RequestIdMiddleware)
    client = TestClient(app)
    first, second = (client.get("/").headers["x-request-id"] for _ in range(2))
    assert len(first) == 32
    assert int(first, 16) != int(second, 16)
