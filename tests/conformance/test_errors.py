"""What becomes of an exception: the answer, what the server sees raised, and where its traceback ends."""

import traceback
from collections.abc import Callable
from typing import Annotated, Any

import anyio
import pytest

from conformance.harness import Framework, Request, compare, describe, exchange, frameworks

KINDS = ("key", "special", "value", "http", "http unknown", "group", "base", "exit", "chained", "late")


class Special(KeyError):
    pass


class Refused(Exception):
    pass


def raised(fw: Framework, kind: str) -> Exception:
    made: dict[str, Callable[[], Exception]] = {
        "key": lambda: KeyError("key"),
        "special": lambda: Special("special"),
        "value": lambda: ValueError("value"),
        "http": lambda: fw.HTTPException(418, "teapot", {"x-kind": "tea"}),
        "http unknown": lambda: fw.HTTPException(404, {"a": [1]}),
        "group": lambda: ExceptionGroup("group", [ValueError("one"), ExceptionGroup("two", [Special("three")])]),
        "base": lambda: ArithmeticError("base"),
        "exit": lambda: Refused("exit"),
        "late": lambda: ValueError("late"),
    }
    return made[kind]()


def endpoints(fw: Framework, place: Any, log: list[Any]) -> None:
    """The ways in which an endpoint fails."""

    def fail(kind: str) -> None:
        if kind == "chained":
            try:
                raise raised(fw, "key")
            except KeyError as error:
                raise ArithmeticError("chained") from error
        raise raised(fw, kind)

    async def opened(kind: str):
        try:
            yield kind
        except Exception as error:
            log.append(("dependency saw", describe(error)))
            if kind == "exit":
                raise LookupError("replaced") from None
            raise
        finally:
            log.append("closed")

    @place.get("/async/{kind}")
    async def in_async(kind: str) -> Any:
        fail(kind)

    @place.get("/sync/{kind}")
    def in_sync(kind: str) -> Any:
        fail(kind)

    @place.get("/depends/{kind}")
    async def in_dependency(kind: str, opened: Annotated[str, fw.Depends(opened)]) -> Any:
        fail(kind)

    @place.get("/response/{kind}", response_model=int)
    async def invalid(kind: str) -> Any:
        return "no number"

    @place.get("/stream/{kind}")
    async def streaming(kind: str) -> Any:
        async def chunks():
            yield "a"
            fail(kind)

        return fw.responses.StreamingResponse(chunks())

    @place.get("/background/{kind}")
    async def in_background(kind: str, tasks: fw.BackgroundTasks) -> Any:
        tasks.add_task(fail, kind)
        return "sent"

    @place.get("/encode/{kind}")
    async def unencodable(kind: str) -> Any:
        return fw.responses.JSONResponse(object())


def handlers(fw: Framework, place: Any, log: list[Any], name: str) -> None:
    """Handlers by class and by status."""

    @place.exception_handler(LookupError)
    async def lookup(request: Any, error: Exception) -> Any:
        log.append((name, "lookup", type(error).__name__, request.url.path))
        return fw.responses.PlainTextResponse(f"{name} lookup", 410)

    @place.exception_handler(ValueError)
    def value(request: Any, error: Exception) -> Any:
        log.append((name, "value", str(error)))
        return fw.responses.PlainTextResponse(f"{name} value", 411)

    @place.exception_handler(418)
    async def teapot(request: Any, error: Any) -> Any:
        log.append((name, "teapot", error.detail))
        return fw.responses.JSONResponse({"short": "stout"}, 418, error.headers)

    @place.exception_handler(Refused)
    async def refused(request: Any, error: Exception) -> Any:
        raise OSError("in the handler")

    @place.exception_handler(ExceptionGroup)
    async def group(request: Any, error: Any) -> Any:
        log.append((name, describe(error)))
        return fw.responses.PlainTextResponse("group", 412)


def plain(fw: Framework, log: list[Any]) -> Any:
    app = fw.FastAPI()
    endpoints(fw, app, log)
    return app


def handled(fw: Framework, log: list[Any]) -> Any:
    app = plain(fw, log)
    handlers(fw, app, log, "app")
    return app


def everything_handled(fw: Framework, log: list[Any]) -> Any:
    app = handled(fw, log)

    @app.exception_handler(Exception)
    async def anything(request: Any, error: Exception) -> Any:
        log.append(("anything", type(error).__name__))
        return fw.responses.PlainTextResponse("anything", 599)

    return app


def by_500(fw: Framework, log: list[Any]) -> Any:
    app = plain(fw, log)

    @app.exception_handler(500)
    def anything(request: Any, error: Exception) -> Any:
        log.append(("500", type(error).__name__))
        return fw.responses.PlainTextResponse("five hundred", 500)

    return app


def mounted(fw: Framework, log: list[Any]) -> Any:
    app = fw.FastAPI()
    handlers(fw, app, log, "outer")
    sub = fw.FastAPI()
    endpoints(fw, sub, log)

    @sub.exception_handler(KeyError)
    async def key(request: Any, error: Exception) -> Any:
        log.append("inner key")
        return fw.responses.PlainTextResponse("inner key", 413)

    app.mount("", sub)
    return app


def included_with_middleware(fw: Framework, log: list[Any]) -> Any:
    app = fw.FastAPI()
    handlers(fw, app, log, "app")

    @app.middleware("http")
    async def noted(request: Any, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except Exception as error:
            log.append(("middleware saw", type(error).__name__))
            raise

    router = fw.APIRouter()
    endpoints(fw, router, log)
    app.include_router(router)
    return app


BUILDS = [plain, handled, everything_handled, by_500, mounted, included_with_middleware]
WAYS = ("async", "sync", "depends", "response", "stream", "background", "encode")


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_exception_is_answered_and_raised_alike(build: Any, backend: str) -> None:
    for way in WAYS:
        for kind in KINDS if way not in ("response", "encode") else ["x"]:
            results = []
            for fw in frameworks():
                log: list[Any] = []
                outcome = exchange(build(fw, log), Request(f"/{way}/{kind}"), backend=backend)
                results.append((outcome, log))
            assert results[1] == results[0], f"/{way}/{kind}"


async def receive() -> Any:
    await anyio.sleep_forever()


async def send(message: Any) -> None: ...


@pytest.mark.parametrize("way", ["async", "sync", "depends", "stream", "background"])
@pytest.mark.parametrize("build", [plain, mounted, included_with_middleware], ids=lambda build: build.__name__)
def test_the_last_frame_of_a_traceback_is_the_users(build: Any, way: str) -> None:
    for fw in frameworks():
        app = build(fw, [])
        with pytest.raises(ArithmeticError) as caught:
            anyio.run(app, Request(f"/{way}/base").asgi_scope(), receive, send)
        last = traceback.extract_tb(caught.value.__traceback__)[-1]
        assert (last.filename, last.name) == (__file__, "fail"), fw


@pytest.mark.parametrize("way", ["async", "sync"])
def test_the_debug_page_names_the_error_and_the_users_line(way: str) -> None:
    for fw in frameworks():
        app = fw.FastAPI(debug=True)
        endpoints(fw, app, [])
        for accept, kind in (("text/html", "text/html; charset=utf-8"), ("*/*", "text/plain; charset=utf-8")):
            outcome = exchange(app, Request(f"/{way}/base", headers=(("accept", accept),)))
            assert outcome.status == 500
            assert dict(outcome.headers)["content-type"] == kind
            page = outcome.body.decode()
            assert "ArithmeticError" in page
            assert "base" in page
            assert __file__ in page
            assert outcome.raised == ("ArithmeticError: base",)


def test_exceptions_of_every_make_are_answered_alike() -> None:
    """What the framework's own handlers answer is written without them, where nobody can tell."""

    def build(fw: Framework) -> Any:
        app = fw.FastAPI()
        base = fw.starlette.exceptions.HTTPException

        class Mixin(base):  # type: ignore[misc, valid-type]
            def __init__(self, status_code: int, detail: Any = None, headers: Any = None) -> None:
                super().__init__(status_code, f"mixed {detail}", headers)

        class Own(fw.HTTPException):  # type: ignore[misc]
            pass

        class Both(fw.HTTPException, Mixin):  # type: ignore[misc]
            pass

        def changed() -> Any:
            error = fw.HTTPException(418)
            error.detail, error.extra = {"changed": [1, None]}, 1
            return error

        makes: list[Callable[[], Any]] = [
            lambda: fw.HTTPException(418),
            lambda: fw.HTTPException(418, None),
            lambda: fw.HTTPException(599, detail=""),
            lambda: fw.HTTPException(999, '"quoted", \u00fc,\n\x1f\x7f'),
            lambda: fw.HTTPException(418, "long " * 1_000),
            lambda: fw.HTTPException(418, ["a", {"b": 1}]),
            lambda: fw.HTTPException(418, "short", {"x-own": "1", "content-type": "text/own"}),
            lambda: fw.HTTPException(418, "short", {}),
            lambda: fw.HTTPException(204, "short"),
            lambda: fw.HTTPException(304),
            lambda: base(404),
            lambda: base(418, "base", {"x-own": "1"}),
            lambda: Own(418, "own"),
            lambda: Both(418, "both"),
            changed,
        ]

        @app.get("/{at}")
        async def endpoint(at: int) -> None:
            raise makes[at]()

        @app.get("/{at}/seen")
        async def seen(at: int) -> Any:
            error = makes[at]()
            return [type(error).__name__, str(error), repr(error), vars(error), repr(error.args)]

        return app

    outcomes = compare(build, *(Request(f"/{at}{part}") for at in range(15) for part in ("", "/seen")))
    assert outcomes[0].status == 418


def test_a_404_below_a_mount_passes_its_middleware_as_an_exception() -> None:
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()
        Middleware, Mount = fw.starlette.middleware.Middleware, fw.starlette.routing.Mount

        async def dispatch(request: Any, call_next: Any) -> Any:
            try:
                return await call_next(request)
            except Exception as error:
                return fw.responses.PlainTextResponse("; ".join(describe(error)[:1]), 299)

        cors = Middleware(fw.module("middleware.cors").CORSMiddleware, allow_origins=["*"])
        seen = Middleware(fw.starlette.middleware.base.BaseHTTPMiddleware, dispatch=dispatch)
        app.router.routes.append(Mount("/cors", routes=[], middleware=[cors]))
        app.router.routes.append(Mount("/seen", routes=[], middleware=[seen]))
        return app

    asked = [Request(path, headers=(("origin", "https://a.org"),)) for path in ("/cors/x", "/seen/x", "/x")]
    assert [outcome.status for outcome in compare(build, *asked)][:3] == [404, 299, 404]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("breaks_at", [0, 1])
def test_a_connection_that_breaks_under_a_404_is_no_matter_of_exception_handlers(breaks_at: int, backend: str) -> None:
    for fw in frameworks():
        app = fw.FastAPI()

        @app.exception_handler(OSError)
        async def handle(request: Any, error: OSError, fw: Framework = fw) -> Any:
            return fw.responses.PlainTextResponse("handled")

        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            if len(sent) == breaks_at:
                raise BrokenPipeError("gone")
            sent.append(message)

        with pytest.raises(BrokenPipeError, match="gone"):
            anyio.run(app, Request("/nowhere").asgi_scope(), receive, send, backend=backend)
        assert len(sent) == breaks_at, fw
