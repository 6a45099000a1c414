"""Time-outs: what takes too long is cancelled and answered; what has started or is exempt is not."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from forzium import BackgroundTasks, Depends, FastAPI
from forzium.middleware.timeout import TimeoutMiddleware
from forzium.responses import StreamingResponse
from forzium.testclient import TestClient

SHORT = 0.05


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


class Service:
    def __init__(self, backend: Any, **options: Any) -> None:
        self.log: list[str] = []
        self.app = app = FastAPI()
        app.add_middleware(TimeoutMiddleware, **{"seconds": SHORT, **options})
        self.client = TestClient(app, backend=backend)

        async def resource() -> AsyncIterator[None]:
            try:
                yield
            finally:
                await anyio.sleep(0)
                self.log.append("cleaned up")

        @app.get("/slow", dependencies=[Depends(resource)])
        async def slow() -> None:
            try:
                await anyio.sleep(10)
            except anyio.get_cancelled_exc_class():
                self.log.append("cancelled")
                raise

        @app.get("/report/long")
        async def exempt() -> str:
            await anyio.sleep(2 * SHORT)
            return "took its time"

        @app.get("/stream")
        async def stream() -> StreamingResponse:
            async def parts() -> AsyncIterator[bytes]:
                yield b"one "
                await anyio.sleep(2 * SHORT)
                yield b"two"

            return StreamingResponse(parts())

        @app.get("/background")
        async def background(tasks: BackgroundTasks) -> str:
            async def task() -> None:
                await anyio.sleep(2 * SHORT)
                self.log.append("task ended")

            tasks.add_task(task)
            return "at once"

        @app.websocket("/socket")
        async def socket(websocket: Any) -> None:
            await websocket.accept()
            await anyio.sleep(2 * SHORT)
            await websocket.close()


@pytest.mark.parametrize("until", ["start", "end"])
def test_an_endpoint_that_takes_too_long_is_cancelled_and_answered(until: str, backend: Any) -> None:
    service = Service(backend, until=until)
    response = service.client.get("/slow")
    assert (response.status_code, response.json()) == (504, {"detail": "Gateway Timeout"})
    assert service.log == ["cancelled", "cleaned up"]


def test_the_status_can_be_chosen(backend: Any) -> None:
    response = Service(backend, status_code=503).client.get("/slow")
    assert (response.status_code, response.json()) == (503, {"detail": "Service Unavailable"})


def test_a_stream_that_has_started_goes_on(backend: Any) -> None:
    assert Service(backend).client.get("/stream").text == "one two"


def test_a_whole_response_may_be_limited_and_is_then_broken_off(backend: Any) -> None:
    with pytest.raises(TimeoutError, match="GET /stream: the response was not complete after"):
        Service(backend, until="end").client.get("/stream")


@pytest.mark.parametrize("until", ["start", "end"])
def test_background_tasks_are_not_limited(until: str, backend: Any) -> None:
    service = Service(backend, until=until)
    assert service.client.get("/background").text == '"at once"'
    assert service.log == ["task ended"]


@pytest.mark.parametrize("exempt", [["/report/long"], ["/report/*"], ["/nothing", "*"]])
def test_paths_can_be_exempt(exempt: list[str], backend: Any) -> None:
    assert Service(backend).client.get("/report/long").status_code == 504
    assert Service(backend, exempt=["/report"]).client.get("/report/long").status_code == 504
    assert Service(backend, exempt=exempt).client.get("/report/long").json() == "took its time"


def test_the_path_below_a_mount_counts(backend: Any) -> None:
    service, outer = Service(backend, exempt=["/report/*"]), FastAPI()
    outer.mount("/inner", service.app)
    assert TestClient(outer, backend=backend).get("/inner/report/long").status_code == 200


@pytest.mark.parametrize("options", [{"seconds": 0}, {"seconds": -1.0}, {"seconds": 1, "until": "noon"}])
def test_options_that_make_no_sense_are_refused(options: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        TimeoutMiddleware(FastAPI(), **options)
