"""`Depends(max_concurrency=...)`: who is let in, who waits, and what gives a place back, as with FastAPI."""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from conformance.harness import Framework, describe, frameworks

KINDS = ["async", "def", "async yield", "def yield"]


class Scene:
    """One application under a limit, several requests to it at once, and the log of what became of them.

    A request is known by its number, which is its query. `go` lets it on from where it holds its place: in the dependency,
    or in the endpoint where the dependency has a `yield`.
    """

    def __init__(self, fw: Framework, kind: str, scope: str | None, limit: int, fails: str = "") -> None:
        self.fw, self.kind, self.fails = fw, kind, fails
        self.log: list[Any] = []
        self.inside = 0
        self.gates: dict[int, threading.Event] = {}
        self.scopes: dict[int, anyio.CancelScope] = {}
        self.ended: dict[int, Any] = {}
        options = {} if scope is None else {"scope": scope}
        self.limited = fw.Depends(self.dependency(), max_concurrency=limit, **options)
        self.app = fw.FastAPI()
        self.add("/", self.limited)

    def add(self, path: str, *dependencies: Any) -> None:
        @self.app.get(path, dependencies=list(dependencies))
        async def endpoint(number: int) -> int:
            if "yield" in self.kind:
                await self.hold(number)
            if self.fails == "endpoint":
                raise LookupError(number)
            return number

        @self.app.websocket(path, dependencies=list(dependencies))
        async def talk(websocket: self.fw.WebSocket, number: int) -> None:
            await websocket.accept()
            if "yield" in self.kind:
                await self.hold(number)
            await websocket.close()

    def enter(self, number: int) -> None:
        self.inside += 1
        self.log.append(("in", number))
        if self.fails == "before":
            self.inside -= 1
            raise self.fw.HTTPException(418, str(number))

    def leave(self, number: int) -> None:
        self.inside -= 1
        self.log.append(("out", number))
        if self.fails == "after":
            raise KeyError(number)

    async def hold(self, number: int) -> None:
        while not self.gates[number].is_set():
            await checkpoint()

    def dependency(self) -> Callable[..., Any]:
        async def asynchronous(number: int) -> None:
            self.enter(number)
            try:
                await self.hold(number)
            finally:
                self.leave(number)

        def plain(number: int) -> None:
            self.enter(number)
            self.gates[number].wait(10)
            self.leave(number)

        async def generator(number: int) -> AsyncIterator[None]:
            self.enter(number)
            try:
                yield
            finally:
                self.leave(number)

        def plain_generator(number: int) -> Iterator[None]:
            self.enter(number)
            try:
                yield
            finally:
                self.leave(number)

        return dict(zip(KINDS, (asynchronous, plain, generator, plain_generator), strict=True))[self.kind]

    async def ask(self, number: int, path: str, websocket: bool) -> None:
        sent: list[Any] = []

        async def receive() -> Any:
            if websocket and not sent:
                return {"type": "websocket.connect"}
            return await anyio.sleep_forever()

        async def send(message: Any) -> None:
            sent.append(message.get("status", message["type"]))

        asgi = {
            "type": "websocket" if websocket else "http",
            "method": "GET",
            "path": path,
            "headers": [],
            "query_string": f"number={number}".encode(),
        }
        raised: list[str] = []
        with anyio.CancelScope() as self.scopes[number]:
            try:
                await self.app(asgi, receive, send)
            except Exception as error:
                raised = describe(error)
        self.ended[number] = (sent, raised)

    async def play(self, *script: tuple[Any, int, int]) -> Any:
        """Carry out the steps, each with how many are inside after it, and how many requests have ended.

        A number starts a request, or lets it on, and `-1 - number` cancels it; `(path, number, websocket)` starts one there.

        Returns:
            Who went in and out in which order, and how each request ended.
        """
        async with anyio.create_task_group() as group:
            for step, inside, ended in script:
                path, number, websocket = step if isinstance(step, tuple) else ("/", step, False)
                if number < 0:
                    self.scopes[-1 - number].cancel()
                elif number not in self.gates:
                    self.gates[number] = threading.Event()
                    group.start_soon(self.ask, number, path, websocket)
                else:
                    self.gates[number].set()
                await self.until(inside, ended)
        return self.log, self.ended

    async def until(self, inside: int, ended: int) -> None:
        with anyio.fail_after(10):
            while (self.inside, len(self.ended)) != (inside, ended):  # noqa: ASYNC110 - it may happen in threads
                await checkpoint()
            for _ in range(20):  # nobody follows
                await checkpoint()
        assert (self.inside, len(self.ended)) == (inside, ended)


def same(act: Callable[[Framework], Awaitable[Any]], backend: str) -> Any:
    async def both() -> Any:
        return [await act(fw) for fw in frameworks()]

    theirs, ours = anyio.run(both, backend=backend)
    assert ours == theirs
    return ours


backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])
kinds = pytest.mark.parametrize(
    ("kind", "scope"), [(kind, None) for kind in KINDS] + [(kind, "function") for kind in KINDS[2:]]
)


def entered(log: list[Any]) -> list[int]:
    return [number for what, number in log if what == "in"]


@backends
@kinds
def test_so_many_are_let_in_and_the_others_in_the_order_of_their_coming(kind: str, scope: Any, backend: str) -> None:
    script = (0, 1, 0), (1, 2, 0), (2, 2, 0), (3, 2, 0), (1, 2, 1), (0, 2, 2), (2, 1, 3), (3, 0, 4)
    log, _ = same(lambda fw: Scene(fw, kind, scope, 2).play(*script), backend)
    assert entered(log) == [0, 1, 2, 3]


@backends
@pytest.mark.parametrize("fails", ["before", "endpoint", "after"])
@kinds
def test_a_failure_gives_the_place_back(kind: str, scope: Any, fails: str, backend: str) -> None:
    script = ((0, 1, 0), (1, 1, 0), (0, 1, 1), (1, 0, 2), (2, 1, 2), (2, 0, 3))
    if fails == "before" or (fails == "endpoint" and "yield" not in kind):
        script = ((0, 0, 1), (1, 0, 2)) if fails == "before" else script
    log, _ = same(lambda fw: Scene(fw, kind, scope, 1, fails).play(*script), backend)
    assert entered(log) == [0, 1, 2][: len(entered(log))]


@backends
@kinds
def test_a_cancelled_request_leaves_the_line_or_gives_its_place_back(kind: str, scope: Any, backend: str) -> None:
    # The first cancels one that waits, the second the one that is in; a thread has to be done first.
    held = kind == "def"
    script = (0, 1, 0), (1, 1, 0), (2, 1, 0), (-2, 1, 1), (-1, 1, 1 if held else 2), (0, 1, 2), (2, 0, 3)
    log, _ = same(lambda fw: Scene(fw, kind, scope, 1).play(*script), backend)
    assert entered(log) == [0, 2]


@backends
@kinds
def test_a_websocket_stands_in_the_same_line(kind: str, scope: Any, backend: str) -> None:
    script = (("/", 0, True), 1, 0), (1, 1, 0), (("/", 2, True), 1, 0), (0, 1, 1), (1, 1, 2), (2, 0, 3)
    log, _ = same(lambda fw: Scene(fw, kind, scope, 1).play(*script), backend)
    assert entered(log) == [0, 1, 2]


@backends
@kinds
def test_a_declaration_has_its_own_limit_and_shares_it_where_it_is_used_again(
    kind: str, scope: Any, backend: str
) -> None:
    async def act(fw: Framework) -> Any:
        scene = Scene(fw, kind, scope, 1)
        scene.add("/same", scene.limited)
        scene.add("/other", fw.Depends(scene.limited.dependency, max_concurrency=1))
        # A value that is there already takes no place.
        scene.add("/twice", scene.limited, scene.limited)
        # An override stands in for what is limited, and in its line.
        scene.app.dependency_overrides[scene.limited.dependency] = scene.dependency()
        starts = (("/same", 0, False), 1, 0), (1, 1, 0), (("/other", 2, False), 2, 0), (("/twice", 3, False), 2, 0)
        return await scene.play(*starts, (0, 2, 1), (2, 1, 2), (1, 1, 3), (3, 0, 4))

    log, _ = same(act, backend)
    assert entered(log) == [0, 2, 1, 3]


@backends
def test_one_that_fails_to_enter_is_out_before_what_came_before_it_is_left(backend: str) -> None:
    async def act(fw: Framework) -> Any:
        scene = Scene(fw, "async yield", None, 1, "before")
        places: list[Any] = []

        async def outer() -> AsyncIterator[None]:
            try:
                yield
            finally:
                semaphore = scene.limited._concurrency.get_semaphore()
                places.append(semaphore.value)

        scene.add("/outer", fw.Depends(outer), fw.Depends(outer, scope="function", use_cache=False), scene.limited)
        await scene.play((("/outer", 0, False), 0, 1))
        return places, scene.ended

    places, _ = same(act, backend)
    assert places == [1, 1]


@pytest.mark.parametrize("limit", [0, -1, True, 1.0, "1", None])
def test_a_limit_is_a_positive_integer(limit: Any) -> None:
    def act(fw: Framework) -> Any:
        try:
            declared = fw.Depends(int, max_concurrency=limit)
            annotated = Annotated[int, declared]
            return declared.max_concurrency, declared._concurrency is None, annotated.__metadata__[0] is declared
        except ValueError as error:
            return describe(error)

    theirs, ours = map(act, frameworks())
    assert ours == theirs
