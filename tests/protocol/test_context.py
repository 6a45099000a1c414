"""Context variables: who sees what was set where, the same as with FastAPI."""

import contextvars
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest
from conformance.harness import Framework, Request, exchange, frameworks

ORIGINS = ["sync", "async", "sync yield", "async yield", "middleware", "outside"]
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody")
later: contextvars.ContextVar[str] = contextvars.ContextVar("later", default="nobody")


def build(fw: Framework, origin: str, asynchronous: bool, log: list[str]) -> Any:
    """An application in which `origin` sets a variable that an endpoint, its clean-up and its tasks read."""
    app = fw.FastAPI(openapi_url=None)

    def read(where: str) -> None:
        log.append(f"{where}: {variable.get()}, {later.get()}")

    def sync_setter() -> None:
        variable.set("sync")

    async def async_setter() -> None:
        variable.set("async")

    def sync_yielding() -> Iterator[None]:
        token = variable.set("sync yield")
        yield
        read("clean-up")
        with pytest.raises(ValueError):
            variable.reset(token)  # clean-up runs in a copy of the context

    async def async_yielding() -> AsyncIterator[None]:
        token = variable.set("async yield")
        yield
        read("clean-up")
        variable.reset(token)

    setters: dict[str, Any] = {
        "sync": sync_setter,
        "async": async_setter,
        "sync yield": sync_yielding,
        "async yield": async_yielding,
    }
    depends = [fw.Depends(setters[origin])] if origin in setters else []

    def sync_reader() -> None:
        read("dependency")

    async def task() -> None:
        read("background")

    async def async_endpoint(tasks: fw.BackgroundTasks, _: None = fw.Depends(sync_reader)) -> None:
        read("endpoint")
        later.set("endpoint")
        tasks.add_task(task)

    def sync_endpoint(tasks: fw.BackgroundTasks, _: None = fw.Depends(sync_reader)) -> None:
        read("endpoint")
        later.set("endpoint")
        tasks.add_task(task)

    app.get("/", dependencies=depends)(async_endpoint if asynchronous else sync_endpoint)

    class Middleware:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            variable.set("middleware")
            await self.app(scope, receive, send)
            read("middleware")

    if origin == "middleware":
        app.add_middleware(Middleware)

    async def around(scope: Any, receive: Any, send: Any) -> None:
        if origin == "outside":
            variable.set("outside")
        await app(scope, receive, send)
        read("server")

    return around


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("asynchronous", [True, False], ids=["async endpoint", "sync endpoint"])
@pytest.mark.parametrize("origin", ORIGINS)
def test_a_variable_is_seen_where_fastapi_shows_it(origin: str, asynchronous: bool, backend: str) -> None:
    logs: list[list[str]] = []
    for fw in frameworks():
        logs.append([])
        outcome = exchange(build(fw, origin, asynchronous, logs[-1]), Request("/"), backend=backend)
        assert (outcome.status, outcome.raised) == (200, ())
    assert logs[1] == logs[0]
    # A thread works on a copy of the context: what it sets stays there.
    seen = "nobody" if origin.startswith("sync") else origin
    assert f"endpoint: {seen}, nobody" in logs[1]


@pytest.mark.anyio
async def test_requests_in_flight_do_not_see_one_anothers_variables() -> None:
    from forzium import Depends, FastAPI

    from .asgi import Host, http_scope

    app = FastAPI()

    async def setter(n: str) -> None:
        variable.set(n)

    @app.get("/{n}", dependencies=[Depends(setter)])
    async def endpoint(n: str) -> bool:
        await anyio.sleep(0)
        return variable.get() == n and await anyio.to_thread.run_sync(variable.get) == n

    hosts = [Host() for _ in range(20)]
    async with anyio.create_task_group() as group:
        for n, host in enumerate(hosts):
            group.start_soon(app, http_scope(f"/{n}"), host.receive, host.send)
    assert {host.body for host in hosts} == {b"true"}
    assert variable.get() == "nobody"
