"""Clean-up of dependencies when a request is cancelled, or its client leaves: what runs, in which order, to which end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import nullcontext
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from conformance.harness import Framework, describe, frameworks

backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])
POINTS = ("before yield", "dependency", "endpoint", "function clean-up", "start", "stream", "task", "request clean-up")
WAYS = ("plain", "opens a scope", "opens a group", "swallows", "replaces", "waits no more")
CASES = [
    (point, way) for point in POINTS for way in WAYS if not (point.endswith("clean-up") and way == "waits no more")
]


def _name(error: BaseException) -> str:
    # Deliberate: where the exception was swallowed, FastAPI misses its own variable first.
    return type(error).__name__.replace("UnboundLocalError", "FastAPIError")


class Request:
    """One request, which is cut short where it comes to a point. The log says what it went through."""

    def __init__(self, fw: Framework, point: str, way: str) -> None:
        self.fw, self.point, self.way = fw, point, way
        self.log: list[Any] = []
        self.reached = anyio.Event()
        self.app = fw.FastAPI(openapi_url=None)
        self.build()

    async def here(self, point: str) -> None:
        """Wait until it is cut short, if this is the point; clean-up goes on, since it is shielded."""
        if point != self.point:
            return
        self.log.append(f"at {point}")
        self.reached.set()
        if point.endswith("clean-up"):
            for _ in range(20):
                await checkpoint()
            self.log.append("goes on")
        else:
            await anyio.sleep_forever()

    def dependency(self, name: str) -> Callable[[], AsyncIterator[str]]:
        async def dependency() -> AsyncIterator[str]:
            await self.here("before yield")
            scope = {"opens a scope": anyio.CancelScope()}.get(self.way, nullcontext())
            group = anyio.create_task_group() if self.way == "opens a group" else nullcontext()
            with scope:
                async with group:
                    try:
                        yield name
                    except BaseException as error:
                        self.log.append(f"{name} caught {_name(error)}")
                        if self.way == "replaces":
                            raise KeyError(name) from None
                        if self.way != "swallows":
                            raise
                    finally:
                        if self.way != "waits no more":
                            await checkpoint()
                            await self.here(f"{name} clean-up")
                            with anyio.move_on_after(0):  # its own cancellations take effect
                                await anyio.sleep_forever()
                        self.log.append(f"{name} left")

        return dependency

    def plain(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.log.append(f"plain caught {_name(error)}")
            raise
        finally:
            self.log.append("plain left")

    def build(self) -> None:
        fw = self.fw

        async def waits() -> None:
            await self.here("dependency")

        @self.app.get("/")
        async def endpoint(
            tasks: fw.BackgroundTasks,
            one: Any = fw.Depends(self.dependency("request"), scope="request"),
            two: Any = fw.Depends(self.plain),
            three: Any = fw.Depends(self.dependency("function"), scope="function"),
            four: Any = fw.Depends(self.plain, scope="function", use_cache=False),
            five: Any = fw.Depends(waits),
        ) -> Any:
            tasks.add_task(self.here, "task")
            await self.here("endpoint")

            async def chunks() -> AsyncIterator[bytes]:
                try:
                    yield b"a"
                    await self.here("stream")
                    yield b"b"
                finally:
                    self.log.append("stream left")

            return fw.responses.StreamingResponse(chunks(), background=tasks)

    async def serve(self, leaves: bool = False) -> None:
        begun = False

        async def receive() -> Any:
            nonlocal begun
            if not begun:
                begun = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await (self.reached.wait() if leaves else anyio.sleep_forever())
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.log.append(message.get("status", message.get("body")))
            if message["type"] == "http.response.start":
                await self.here("start")

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        scope["asgi"] = {"version": "3.0", "spec_version": "2.3"}
        try:
            await self.app(scope, receive, send)
            self.log.append("done")
        except BaseException as error:
            cancelled = isinstance(error, anyio.get_cancelled_exc_class())
            self.log.append("cancelled" if cancelled else describe(error))
            raise


def same(act: Callable[[Framework], Awaitable[list[Any]]], backend: str) -> list[Any]:
    theirs, ours = (anyio.run(act, fw, backend=backend) for fw in frameworks())
    assert ours == theirs
    return ours


@backends
@pytest.mark.parametrize(("point", "way"), CASES)
def test_a_scope_around_the_request_is_cancelled(point: str, way: str, backend: str) -> None:
    async def act(fw: Framework) -> list[Any]:
        request = Request(fw, point, way)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:

                async def cancel() -> None:
                    await request.reached.wait()
                    scope.cancel()

                group.start_soon(cancel)
                with anyio.CancelScope() as scope:
                    try:
                        await request.serve()
                    except Exception:
                        request.log.append("an error comes out")
                request.reached.set()
                # Nothing of the cancellation is left in the task.
                await checkpoint()
        return request.log

    log = same(act, backend)
    if point != "before yield":
        assert [line for line in log if str(line).endswith(" left") and "stream" not in str(line)] == [
            "plain left",
            "function left",
            "plain left",
            "request left",
        ]


@pytest.mark.parametrize(("point", "way"), CASES)
def test_asyncio_cancels_the_task(point: str, way: str) -> None:
    async def act(fw: Framework) -> list[Any]:
        request = Request(fw, point, way)
        task = asyncio.ensure_future(request.serve())
        async with asyncio.timeout(10):
            await request.reached.wait()
            task.cancel()
            await asyncio.wait([task])
        return [*request.log, task.cancelled() or _name(task.exception())]

    same(act, "asyncio")


@backends
@pytest.mark.parametrize("way", WAYS)
def test_the_client_leaves(way: str, backend: str) -> None:
    async def act(fw: Framework) -> list[Any]:
        request = Request(fw, "stream", way)
        with anyio.fail_after(10):
            try:
                await request.serve(leaves=True)
            except Exception:
                request.log.append("an error comes out")
        return request.log

    log = same(act, backend)
    assert [line for line in log if line in ("function left", "request left")] == ["function left", "request left"]


@backends
@pytest.mark.parametrize("answers", [True, False])
def test_who_goes_on_although_cancelled_is_stopped_after_the_clean_up(answers: bool, backend: str) -> None:
    """An endpoint swallows the cancellation; what is not shielded, the answer, is not sent."""

    async def act(fw: Framework) -> list[Any]:
        app, log = fw.FastAPI(openapi_url=None), []

        async def dependency() -> AsyncIterator[None]:
            try:
                yield
            except BaseException as error:
                log.append(type(error).__name__)
                raise
            finally:
                await checkpoint()
                log.append("left")

        scope_of = "function" if answers else "request"

        @app.get("/", dependencies=[fw.Depends(dependency, scope=scope_of)])
        async def endpoint() -> int:
            scope.cancel()
            try:
                await checkpoint()
            except anyio.get_cancelled_exc_class():
                log.append("swallowed")
            return 1

        async def receive() -> Any:
            return {"type": "http.request"}

        async def send(message: Any) -> None:
            log.append(message["type"])

        asgi = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        with anyio.CancelScope() as scope:
            await app(asgi, receive, send)
            log.append("not cancelled")
        return log

    same(act, backend)
