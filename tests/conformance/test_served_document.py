"""``/openapi.json`` over the life of an application: what was changed since the last request is in the next answer."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.harness import Framework, Request, compare, exchange, frameworks

Life = Callable[[Framework, Any], Iterator[None]]
LIVES: list[Life] = []


class Item(BaseModel):
    name: str


def life(function: Life) -> Life:
    """A generator that changes an application; after each `yield` the document is asked for, twice."""
    LIVES.append(function)
    return function


@life
def routes_are_added(fw: Framework, app: Any) -> Iterator[None]:
    yield
    app.get("/late")(lambda: None)
    yield
    router = fw.APIRouter()
    app.include_router(router, prefix="/r")
    yield
    router.post("/later")(lambda item: None)
    yield


@life
def what_it_gave_out_is_changed(fw: Framework, app: Any) -> Iterator[None]:
    yield
    document = app.openapi()
    yield
    document["paths"]["/items"]["post"]["summary"] = "changed"
    yield
    document["paths"]["/items"]["post"]["tags"] = ["changed again"]
    yield
    del document["components"]
    yield


@life
def the_attribute_is_changed(fw: Framework, app: Any) -> Iterator[None]:
    yield
    app.openapi_schema["info"]["title"] = "changed"
    yield
    app.title = "not seen"
    yield
    app.openapi_schema = None
    yield
    app.openapi_schema = {"openapi": "3.1.0", "info": {"title": "by hand"}, "paths": {}}
    yield
    app.openapi_schema["paths"]["/by-hand"] = {}
    yield
    app.openapi_schema = {}
    yield


@life
def the_attribute_is_set_before_the_first_request(fw: Framework, app: Any) -> Iterator[None]:
    app.openapi_schema = {"openapi": "3.1.0", "info": {"title": "by hand"}, "paths": {}}
    yield


@life
def the_function_is_replaced(fw: Framework, app: Any) -> Iterator[None]:
    yield
    own = app.openapi
    calls = []

    def custom() -> dict[str, Any]:
        calls.append(None)
        return {**own(), "x-calls": len(calls)}

    app.openapi = custom
    yield
    app.openapi = own
    yield


@life
def the_function_keeps_its_own_copy(fw: Framework, app: Any) -> Iterator[None]:
    def custom() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        app.openapi_schema = fw.module("openapi.utils").get_openapi(title="Custom", version="1", routes=app.routes)
        app.openapi_schema["info"]["x-logo"] = {"url": "/logo.png"}
        return app.openapi_schema

    app.openapi = custom
    yield
    app.get("/late")(lambda: None)
    yield
    app.openapi_schema = None
    yield


@life
def the_class_is_patched(fw: Framework, app: Any) -> Iterator[None]:
    yield
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fw.FastAPI, "openapi", lambda self: {"patched": self.title})
        yield
    yield


ROOT_PATHS = ["", "/behind", "/behind/", "/listed", "/other"]


@pytest.mark.parametrize("changes", LIVES, ids=lambda function: function.__name__)
@pytest.mark.parametrize(
    "options",
    [{}, {"servers": [{"url": "/listed"}]}, {"root_path_in_servers": False}],
    ids=["", "servers", "not shown"],
)
def test_every_change_is_in_the_next_answer(changes: Life, options: dict[str, Any]):
    answers: list[list[Any]] = []
    for fw in frameworks():
        app = fw.FastAPI(**options)

        @app.post("/items")
        def create(item: Item) -> Item: ...

        seen = []
        for _ in changes(fw, app):
            for root_path in (*ROOT_PATHS, *ROOT_PATHS):
                seen.append(exchange(app, Request("/openapi.json", scope={"root_path": root_path})))
        answers.append(seen)
    assert answers[1] == answers[0]


def test_a_subclass_decides_what_is_served():
    def build(fw: Framework) -> Any:
        class Application(fw.FastAPI):  # type: ignore[misc]
            def openapi(self) -> dict[str, Any]:
                document = super().openapi()
                document["info"]["x-count"] = document["info"].get("x-count", 0) + 1
                return document

        return Application()

    compare(build, *[Request("/openapi.json", scope={"root_path": path}) for path in ROOT_PATHS])
