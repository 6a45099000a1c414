"""What routing does beyond Starlette and FastAPI: declaration errors with a place, live lists, native or not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import anyio
import pytest

import forzium
from forzium import APIRouter, FastAPI, routing
from forzium.routing import BaseRoute, Host, Match, Mount, Route, Router
from forzium.routing.native import is_native, patched_seams


def http(path: str, method: str = "GET") -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}


def answer(app: Any, path: str, method: str = "GET") -> int:
    """The status of one request."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    anyio.run(app, http(path, method), receive, send)
    status: int = sent[0]["status"]
    return status


async def endpoint(request: Any) -> Any:
    return forzium.Response()


# ---------------------------------------------------------------- matching


def test_a_line_feed_at_the_end_of_a_path_counts() -> None:
    app = FastAPI()
    app.get("/ping")(lambda: 1)
    app.add_route("/plain", endpoint)
    assert [answer(app, path) for path in ("/ping", "/ping\n", "/plain", "/plain\n")] == [200, 404, 200, 404]
    assert Route("/ping", endpoint).matches(http("/ping\n")) == (Match.NONE, {})


def test_a_number_too_long_to_convert_matches_nothing() -> None:
    app = FastAPI()
    app.add_route("/items/{number:int}", endpoint)
    assert answer(app, "/items/" + "9" * 5000) == 404
    assert Route("/items/{number:int}", endpoint).matches(http("/items/" + "9" * 5000)) == (Match.NONE, {})


# ---------------------------------------------------------------- declaration errors


def handler() -> None: ...


def including_each_other() -> None:
    one, two = APIRouter(), APIRouter()
    one.include_router(two, prefix="/two")
    two.include_router(one, prefix="/one")


def repeating_a_parameter_of_the_prefix() -> None:
    router = APIRouter()
    router.get("/items/{tenant}")(handler)
    FastAPI().include_router(router, prefix="/{tenant}")


def without_any_path() -> None:
    router = APIRouter()
    router.get("")(handler)
    FastAPI().include_router(router)


WRONG: list[tuple[Callable[[], Any], type[Exception], str, bool]] = [
    (lambda: FastAPI().get("/{x}/{x}")(handler), ValueError, "Duplicated param name x at path /{x}/{x}", True),
    (lambda: Route("/{x:no}", handler), AssertionError, "Unknown path convertor 'no'", True),
    (lambda: Route("x", handler), AssertionError, "Routed paths must start with '/'", True),
    (lambda: Mount("x", Router()), AssertionError, "Routed paths must start with '/'", False),
    (lambda: Mount("/x"), AssertionError, "Either 'app=...', or 'routes=' must be specified", False),
    (lambda: Host("/x", Router()), AssertionError, "Host must not start with '/'", False),
    (lambda: APIRouter(prefix="x"), AssertionError, "A path prefix must start with '/'", False),
    (lambda: FastAPI().add_api_route("/", 3), AssertionError, "An endpoint must be a callable", False),  # type: ignore[arg-type]
    (
        lambda: FastAPI().get("/", status_code=204, response_model=int)(handler),
        AssertionError,
        "Status code 204 must not have a response body",
        True,
    ),
    (including_each_other, AssertionError, "Cannot include an APIRouter instance that already includes", False),
    (repeating_a_parameter_of_the_prefix, ValueError, "Duplicated param name tenant at path", True),
    (without_any_path, forzium.exceptions.FastAPIError, "Prefix and path cannot be both empty", True),
]


@pytest.mark.parametrize(("declare", "kind", "problem", "names_function"), WRONG)
def test_a_wrong_declaration_says_what_and_where(
    declare: Callable[[], Any], kind: type[Exception], problem: str, names_function: bool
) -> None:
    with pytest.raises(kind) as caught:
        declare()
    first, place = str(caught.value).split("\n", 1)
    assert first.startswith(problem)
    line = handler.__code__.co_firstlineno if names_function else declare.__code__.co_firstlineno
    if names_function:
        assert f"in handler, {__file__}:{line}: " in place
    else:
        assert f"at {__file__}:" in place


# ---------------------------------------------------------------- late changes


CHANGES: list[Callable[[list[BaseRoute], BaseRoute], Any]] = [
    lambda routes, route: routes.append(route),
    lambda routes, route: routes.extend([route]),
    lambda routes, route: routes.insert(0, route),
    lambda routes, route: routes.__setitem__(slice(0, 0), [route]),
    lambda routes, route: routes.__iadd__([route]),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("included", [False, True])
def test_every_way_to_add_a_route_takes_effect_after_the_first_request(change: Any, included: bool) -> None:
    app = FastAPI()
    router = APIRouter()
    app.include_router(router)
    assert answer(app, "/late") == 404
    change(router.routes if included else app.router.routes, Route("/late", endpoint))
    assert answer(app, "/late") == 200


@pytest.mark.parametrize(
    "change", [lambda routes: routes.pop(), lambda routes: routes.clear(), lambda routes: routes.__delitem__(-1)]
)
def test_a_route_that_is_taken_away_answers_no_more(change: Any) -> None:
    app = FastAPI(openapi_url=None)
    app.add_route("/here", endpoint)
    assert answer(app, "/here") == 200
    change(app.routes)
    assert answer(app, "/here") == 404


def test_other_routes_and_attributes_can_be_assigned_after_the_first_request() -> None:
    app = FastAPI()
    assert answer(app, "/late") == 404
    route = Route("/late", endpoint)
    app.router.routes = [route]
    assert [answer(app, "/late"), answer(app, "/late/")] == [200, 307]
    app.router.redirect_slashes = False
    assert answer(app, "/late/") == 404
    route.methods = {"POST"}
    assert answer(app, "/late") == 405


def test_middleware_is_refused_once_the_application_serves() -> None:
    app = FastAPI()
    answer(app, "/")
    with pytest.raises(RuntimeError, match="Cannot add middleware after an application has started"):
        app.add_middleware(lambda app: app)


# ---------------------------------------------------------------- native or not


def test_what_is_overridden_or_replaced_is_not_native(monkeypatch: pytest.MonkeyPatch) -> None:
    class Asked(routing.APIRoute):
        def matches(self, scope: Any) -> Any:
            return super().matches(scope)

    class Plain(routing.APIRoute):
        pass

    router = APIRouter()
    router.get("/")(handler)
    parent = APIRouter()
    parent.include_router(router, prefix="/x")
    route, included = router.routes[0], parent.routes[0]
    assert isinstance(included, routing.IncludedRouter)
    (context,) = included.effective_route_contexts()
    assert all(map(is_native, (route, router, included, context, Plain("/", handler), Mount("/", Router()))))
    assert not is_native(Asked("/", handler))
    assert not is_native(BaseRoute())

    replaced = routing.APIRoute("/", handler)
    replaced.app = endpoint  # type: ignore[assignment]
    assert not is_native(replaced)
    monkeypatch.setattr(routing.APIRoute, "handle", functools.partialmethod(routing.APIRoute.handle))
    assert not is_native(route)
    assert not is_native(context)


def test_a_patched_seam_is_known_and_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert patched_seams() == frozenset()
    original = routing.get_request_handler
    calls: list[Any] = []

    def patched(*args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs["dependant"].call)
        return original(*args, **kwargs)

    monkeypatch.setattr(routing, "get_request_handler", patched)
    assert patched_seams() == {"get_request_handler"}
    app = FastAPI()
    app.get("/")(handler)
    assert calls == [handler]
    assert answer(app, "/") == 200


def test_a_handler_is_built_when_first_asked_for_unless_it_is_overridden() -> None:
    built: list[str] = []

    class Custom(routing.APIRoute):
        def get_route_handler(self) -> Any:
            built.append(self.path)
            return super().get_route_handler()

    route = routing.APIRoute("/", handler)
    assert "_app" not in vars(route)
    assert route.app is route.app
    assert route.app_is_own
    assert not Custom("/x", handler).app_is_own
    assert built == ["/x"]
