"""Dependencies are declared, solved, cached and cleaned up alike."""

import contextvars
import functools
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import anyio
import pytest
from pydantic import AfterValidator

from conformance.harness import Framework, Request, compare, exchange, frameworks

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_a_dependency_that_is_wrong_fails_where_fastapi_fails() -> None:
    class NoField:
        pass

    def wrong(value: NoField) -> None: ...

    def endpoint() -> int:
        return 1

    def build(fw: Framework) -> Any:
        before, broken, after = (fw.APIRouter() for _ in range(3))
        for router, path in ((before, "/before"), (broken, "/broken"), (after, "/after")):
            router.add_api_route(path, endpoint)
        app = fw.FastAPI()
        app.include_router(before)
        app.include_router(broken, prefix="/of", dependencies=[fw.Depends(wrong)])
        app.include_router(after)
        return app

    def seen(app: Any) -> list[Any]:
        outcomes = [exchange(app, Request(target)) for target in ("/before", "/of/broken", "/nothing")]
        # forzium's message says also where the dependency stands.
        return [(outcome.status, [line.split("\n")[0] for line in outcome.raised]) for outcome in outcomes]

    oracle, ours = (seen(build(fw)) for fw in frameworks())
    assert ours == oracle
    assert [status for status, _ in ours] == [200, 500, 500]


def _generator(fw: Framework, log: list[str], name: str, ending: str, *, awaited: bool) -> Callable[[], Any]:
    """A dependency with `yield` that notes what it goes through, and ends in its own way where something was raised."""

    def caught(error: Exception) -> None:
        log.append(f"{name} caught {type(error).__name__}")
        if ending == "replaces":
            raise KeyError(name)
        if ending != "swallows":
            raise error

    def left() -> None:
        log.append(f"{name} left")
        if ending == "refuses":
            raise fw.HTTPException(418, name)

    async def asynchronous() -> AsyncIterator[str]:
        try:
            yield name
        except Exception as error:
            caught(error)
        finally:
            left()

    def plain() -> Iterator[str]:
        try:
            yield name
        except Exception as error:
            caught(error)
        finally:
            left()

    return asynchronous if awaited else plain


@pytest.mark.parametrize("awaited", [False, True], ids=["plain", "awaited"])
@pytest.mark.parametrize("scope", ["function", "request"])
def test_every_way_to_end_meets_every_way_to_fail(scope: str, awaited: bool) -> None:
    endings, failures = ("passes on", "swallows", "replaces", "refuses"), (None, "plain", "http", "group")
    # Where a dependency of function scope swallows the exception FastAPI itself fails; forzium says why.
    cases = [
        case
        for case in itertools.product(endings, failures)
        if scope == "request" or case[0] != "swallows" or case[1] is None
    ]

    def build(fw: Framework) -> Any:
        app = fw.FastAPI()
        log: list[str] = []

        def add(path: str, ending: str, failure: str | None) -> None:
            outer = _generator(fw, log, "outer", "passes on", awaited=not awaited)
            inner = _generator(fw, log, "inner", ending, awaited=awaited)

            @app.get(path)
            def endpoint(
                one: Any = fw.Depends(outer, scope="request"), two: Any = fw.Depends(inner, scope=scope)
            ) -> list[str]:
                if failure is None:
                    return [one, two]
                error = {"plain": ValueError("plain"), "http": fw.HTTPException(409)}.get(failure)
                raise error or ExceptionGroup("group", [ValueError("one"), fw.HTTPException(401)])

        for number, (ending, failure) in enumerate(cases):
            add(f"/{number}", ending, failure)

        @app.get("/log")
        def lines() -> list[str]:
            seen = log.copy()
            log.clear()
            return seen

        return app

    requests = [Request(target) for number in range(len(cases)) for target in (f"/{number}", "/log")]
    answers = compare(build, *requests, openapi=False)
    assert {answer.status for answer in answers} == {200, 409, 418, 500}


def test_every_kind_of_callable_gives_its_value_and_sees_the_context() -> None:
    def build(fw: Framework) -> Any:
        class Thing:
            def __init__(self, q: int = 1) -> None:
                self.q = q

            def method(self, header: Annotated[str, fw.Header()] = "absent") -> list[Any]:
                return [self.q, header]

            def __call__(self, z: int = 5) -> int:
                return self.q + z

        calls: list[int] = []

        def partly(a: int, b: str = "b") -> list[Any]:
            return [a, b]

        async def sets(value: str = "set") -> None:
            variable.set(value)

        def sees(_: Any = fw.Depends(sets)) -> str:
            before = variable.get()
            variable.set("by a thread")
            return before

        def counted() -> int:
            calls.append(1)
            return len(calls)

        def cached(count: int = fw.Depends(counted)) -> int:
            return count

        def anew(count: int = fw.Depends(counted, use_cache=False)) -> int:
            return count

        def scopes(security: fw.module("security").SecurityScopes) -> list[str]:  # type: ignore[valid-type]
            return list(security.scopes)  # type: ignore[attr-defined]

        def within(found: Any = fw.Security(scopes, scopes=["inner"])) -> Any:
            return found

        def replaced(o: int, y: str = fw.Query(alias="why", default="none")) -> list[Any]:
            return [o, y]

        app = fw.FastAPI(dependencies=[fw.Depends(lambda: None)])
        thing = Thing(7)

        @app.get("/kinds")
        def endpoint(
            made: Any = fw.Depends(Thing),
            method: Any = fw.Depends(thing.method),
            called: Any = fw.Depends(thing),
            partial: Any = fw.Depends(functools.partial(partly, b="bound")),
            seen: Any = fw.Depends(sees),
            one: Any = fw.Depends(cached),
            two: Any = fw.Depends(anew),
            three: Any = fw.Depends(counted),
            read: Any = fw.Security(within, scopes=["read"]),
            write: Any = fw.Security(within, scopes=["write"]),
        ) -> list[Any]:
            calls.clear()
            return [made.q, method, called, partial, seen, one, two, three, read, write, variable.get()]

        @app.get("/replaced")
        def replacing(value: Any = fw.Depends(cached)) -> Any:
            return value

        app.dependency_overrides[anew] = lambda: "instead"
        app.dependency_overrides[counted] = replaced
        return app

    targets = "/kinds?a=1&o=2", "/kinds?a=1&q=4&z=1&o=1&value=v", "/kinds", "/replaced", "/replaced?o=3&why=so"
    compare(build, *map(Request, targets))


def test_generators_that_yield_not_at_all_or_twice_fail_alike() -> None:
    def nothing() -> Iterator[int]:
        yield from ()

    async def nothing_awaited() -> AsyncIterator[int]:
        for item in ():
            yield item

    def twice() -> Iterator[int]:
        yield 1
        yield 2

    async def twice_awaited() -> AsyncIterator[int]:
        yield 1
        yield 2

    def fails_late() -> Iterator[None]:
        yield
        raise RuntimeError("late")

    odd = (nothing, nothing_awaited, twice, twice_awaited, fails_late)

    def build(fw: Framework) -> Any:
        app = fw.FastAPI()
        for scope in ("function", "request"):
            for call in odd:
                depends = [fw.Depends(call, scope=scope)]
                app.add_api_route(f"/{scope}/{call.__name__}", lambda: 1, dependencies=depends)
        return app

    compare(build, *[Request(f"/{scope}/{call.__name__}") for scope in ("function", "request") for call in odd])


def test_plain_dependencies_run_although_a_validator_of_what_comes_after_raises() -> None:
    def build(fw: Framework) -> Any:
        log: list[str] = []

        def burst(value: str) -> str:
            raise LookupError(value)

        Value = Annotated[str, AfterValidator(burst)]

        def first(value: str = "") -> None:
            log.append("first")
            if value == "fail":
                raise fw.HTTPException(418)

        def second(value: Value = "fine") -> None:
            log.append("second")

        app = fw.FastAPI()

        @app.get("/endpoint", dependencies=[fw.Depends(first)])
        def endpoint(value: Value) -> None: ...

        @app.get("/dependency", dependencies=[fw.Depends(first), fw.Depends(second)])
        def dependency() -> None: ...

        @app.exception_handler(LookupError)
        def handle(_: Any, error: LookupError) -> Any:
            return fw.module("responses").JSONResponse({"error": error.args, "log": log})

        return app

    paths = [f"/{path}?value={value}" for path in ("endpoint", "dependency") for value in ("x", "fail")]
    answers = compare(build, *map(Request, paths))
    assert [answer.status for answer in answers[:4]] == [200, 418, 200, 418]
    assert answers[0].json() == {"error": ["x"], "log": ["first"]}


def test_what_an_override_needs_is_solved_for_each_set_of_scopes() -> None:
    def build(fw: Framework) -> Any:
        log: list[str] = []

        def user(scopes: fw.security.SecurityScopes) -> None:  # type: ignore[name-defined]
            log.append(f"user {scopes.scopes}")

        def plain() -> str:
            return "plain"

        def overriding(_: Any = fw.Security(user, scopes=["admin"])) -> str:
            log.append("overriding")
            return "overriding"

        def reader(value: Any = fw.Depends(plain)) -> Any:
            log.append("reader")
            return value

        app = fw.FastAPI()

        @app.get("/")
        def read(
            one: Any = fw.Depends(reader),
            two: Any = fw.Security(reader, scopes=["read"], use_cache=False),
            three: Any = fw.Depends(plain),
        ) -> Any:
            return one, two, three, log

        app.dependency_overrides[plain] = overriding
        return app

    answer, *_ = compare(build, Request("/"))
    assert answer.json()[3] == ["user ['admin']", "overriding", "reader", "user ['read', 'admin']", "reader"]


def test_clean_up_comes_after_streams_and_background_tasks_as_the_scopes_say() -> None:
    def build(fw: Framework) -> Any:
        log: list[str] = []

        async def dependency() -> AsyncIterator[None]:
            log.append("in")
            yield
            await anyio.sleep(0)
            log.append("out")

        router = fw.APIRouter(dependencies=[fw.Depends(dependency)])

        @router.get("/stream")
        async def stream() -> Any:
            async def pieces() -> AsyncIterator[bytes]:
                for piece in (b"a", b"b"):
                    log.append(piece.decode())
                    yield piece

            return fw.module("responses").StreamingResponse(pieces())

        @router.get("/background")
        def background(
            tasks: fw.BackgroundTasks,  # type: ignore[valid-type]
            _: Any = fw.Depends(dependency, scope="function"),
        ) -> int:
            tasks.add_task(log.append, "task")  # type: ignore[attr-defined]
            return 1

        app = fw.FastAPI()
        app.include_router(router)

        @app.get("/log")
        def lines() -> list[str]:
            seen = log.copy()
            log.clear()
            return seen

        return app

    answers = compare(build, *map(Request, ("/stream", "/log", "/background", "/log")))
    assert answers[1].json() == ["in", "a", "b", "out"]
