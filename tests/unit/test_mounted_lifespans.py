"""The lifespans of mounted applications run within that of the outer one, where it was asked to run them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import fastapi
import pytest

from forzium import APIRouter, FastAPI, Request
from forzium.middleware import Middleware
from forzium.routing import Host, Mount, Router, run_mounted_lifespans
from forzium.staticfiles import StaticFiles
from forzium.testclient import AsyncTestClient

pytestmark = pytest.mark.anyio


class Applications:
    """Makes applications that note their starts and stops."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def app(self, name: str, *, fails: str = "", framework: Any = FastAPI, **state: Any) -> Any:
        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
            self.log.append(f"start {name}")
            if fails == "to start":
                raise LookupError(name)
            yield {"by": name, **state}
            self.log.append(f"stop {name}")
            if fails == "to stop":
                raise LookupError(name)

        app = framework(lifespan=lifespan)

        async def root(request: Request) -> dict[str, Any]:
            return dict(request.state._state)

        root.__annotations__["request"] = fastapi.Request if framework is fastapi.FastAPI else Request
        app.get("/")(root)
        return app


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """An application that does not know the protocol."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """Another one."""


async def test_they_start_in_order_of_the_routes_and_stop_in_reverse() -> None:
    made = Applications()
    app = made.app("outer", outer=1)
    inner = made.app("inner", inner=2)
    inner.mount("/deep", made.app("deep", deep=3))
    router = APIRouter()
    router.mount("/included", made.app("included"))
    app.mount("/inner", inner)
    app.include_router(router, prefix="/api")
    app.routes.append(Mount("/group", routes=[Mount("/one", made.app("grouped", framework=fastapi.FastAPI))]))
    app.routes.append(Host("example.org", made.app("host")))
    app.mount("/again", inner)
    run_mounted_lifespans(app)
    run_mounted_lifespans(app)
    names = ["outer", "inner", "deep", "included", "grouped", "host"]
    async with AsyncTestClient(app) as client:
        assert made.log == [f"start {name}" for name in names]
        # The earlier one's value of a key stays, and every application sees the state of all.
        state = {"by": "outer", "outer": 1, "inner": 2, "deep": 3}
        for path in ("/", "/inner/", "/inner/deep/", "/api/included/", "/group/one/", "/again/"):
            assert (await client.get(path)).json() == state, path
    assert made.log[len(names) :] == [f"stop {name}" for name in reversed(names)]


async def test_nothing_is_started_unasked() -> None:
    made = Applications()
    app = made.app("outer")
    app.mount("/inner", made.app("inner"))
    async with AsyncTestClient(app):
        pass
    assert made.log == ["start outer", "stop outer"]


async def test_one_that_was_asked_itself_starts_its_own() -> None:
    made = Applications()
    app, inner = made.app("outer"), made.app("inner")
    inner.mount("/deep", made.app("deep"))
    app.mount("/inner", inner)
    run_mounted_lifespans(inner)
    run_mounted_lifespans(app)
    async with AsyncTestClient(app):
        assert made.log == ["start outer", "start inner", "start deep"]
    assert made.log[3:] == ["stop deep", "stop inner", "stop outer"]


@pytest.mark.parametrize("framework", [FastAPI, fastapi.FastAPI])
async def test_a_failing_start_stops_those_that_have_started(framework: Any) -> None:
    made = Applications()
    app = made.app("outer")
    app.mount("/one", made.app("one", framework=framework))
    app.mount("/two", made.app("two", fails="to start", framework=framework))
    app.mount("/three", made.app("three"))
    run_mounted_lifespans(app)
    with pytest.raises(LookupError, match="two"):
        async with AsyncTestClient(app):
            pytest.fail("it has started")
    # The outer one is left by the error, as by any error within its lifespan.
    assert made.log == ["start outer", "start one", "start two", "stop one"]


async def test_a_failing_stop_is_raised_and_the_others_are_stopped() -> None:
    made = Applications()
    app = FastAPI()
    app.mount("/one", made.app("one"))
    app.mount("/two", made.app("two", fails="to stop"))
    run_mounted_lifespans(app)
    with pytest.raises(LookupError, match="two"):
        async with AsyncTestClient(app):
            pass
    assert made.log == ["start one", "start two", "stop two", "stop one"]


async def test_what_does_not_know_the_protocol_is_left_alone(tmp_path: Path) -> None:
    made = Applications()
    app = FastAPI()
    for number, mounted in enumerate((StaticFiles(directory=tmp_path), bare, silent, made.app("last"))):
        app.mount(f"/{number}", mounted)
    run_mounted_lifespans(app)
    async with AsyncTestClient(app) as client:
        assert (await client.get("/1/")).status_code == 204
    assert made.log == ["start last", "stop last"]


async def test_middleware_of_the_mount_sees_the_lifespan() -> None:
    made = Applications()
    seen = []

    def middleware(app: Any) -> Any:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["type"])
            await app(scope, receive, send)

        return wrapped

    router = Router([Mount("/one", made.app("one"), middleware=[Middleware(middleware)])])
    run_mounted_lifespans(router)
    async with AsyncTestClient(router) as client:
        assert (await client.get("/one/")).json() == {"by": "one"}
    assert seen == ["lifespan", "http"]
    assert made.log == ["start one", "stop one"]
