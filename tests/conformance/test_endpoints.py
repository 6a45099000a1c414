"""Endpoint classes, required scopes and templates: called as plain ASGI, they answer as Starlette's."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from conformance.harness import Framework, Request, exchange, frameworks


def both(build: Any, *requests: Request) -> list[Any]:
    """The outcomes on each framework and loop, which have to be equal."""
    theirs, ours = (
        [exchange(build(fw), request, backend=loop) for request in requests for loop in ("asyncio", "trio")]
        for fw in frameworks()
    )
    assert ours == theirs
    return ours


@pytest.mark.parametrize("inside_an_application", [False, True])
def test_a_class_answers_each_method(inside_an_application: bool) -> None:
    def build(fw: Framework) -> Any:
        class Sync(fw.starlette.endpoints.HTTPEndpoint):  # type: ignore[name-defined,misc]
            def get(self, request: Any) -> Any:
                return fw.responses.PlainTextResponse(f"{request.method} {request.url.path}")

        class Async(Sync):
            get = None

            async def post(self, request: Any) -> Any:
                return fw.responses.JSONResponse(await request.json())

            async def head(self, request: Any) -> Any:
                return fw.responses.Response(headers={"x": "head"})

            def query(self, request: Any) -> Any:
                return fw.responses.PlainTextResponse("query")

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await (Async if scope["path"] == "/async" else Sync)(scope, receive, send)

        return app

    scope = {"app": object()} if inside_an_application else {}
    methods = ("GET", "HEAD", "POST", "DELETE", "QUERY", "DISPATCH", "get")
    both(build, *(Request(path, method, json=1, scope=scope) for path in ("/async", "/sync") for method in methods))


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("options", [{}, {"status_code": 404}, {"redirect": "login"}], ids=str)
def test_a_scope_that_is_missing_is_answered(kind: str, options: dict[str, Any]) -> None:
    def build(fw: Framework) -> Any:
        requires = fw.starlette.authentication.requires(["a", "b"], **options)

        def sync_endpoint(number: int, request: Any) -> Any:
            return fw.responses.PlainTextResponse(f"in {number}")

        async def async_endpoint(number: int, request: Any) -> Any:
            return fw.responses.PlainTextResponse(f"in {number}")

        endpoint = requires(sync_endpoint if kind == "def" else async_endpoint)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scopes = scope["query_string"].decode().split("&")
            scope["auth"] = fw.starlette.authentication.AuthCredentials(scopes)
            scope["router"] = Router()
            request = object() if scope["path"] == "/wrong" else fw.Request(scope, receive, send)
            result = endpoint(1, request=request) if scope["path"] == "/keyword" else endpoint(1, request)
            response = await result if kind == "async def" else result
            await response(scope, receive, send)

        class Router:
            def url_path_for(self, name: str, **params: Any) -> Any:
                return fw.starlette.datastructures.URLPath(f"/{name}")

        return app

    both(build, *(Request(target) for target in ("/?a&b", "/keyword?b&a&c", "/?a", "/x%20y?q=%C3%A9", "/wrong?a&b")))


def test_an_endpoint_without_a_connection_cannot_require_scopes() -> None:
    for fw in frameworks():
        with pytest.raises(Exception, match='No "request" or "websocket" argument on function'):
            fw.starlette.authentication.requires("a")(lambda x: x)


@pytest.mark.parametrize("scopes", [["a"], []])
def test_a_websocket_without_the_scope_is_closed(scopes: list[str]) -> None:
    transcripts = []
    for fw in frameworks():
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        @fw.starlette.authentication.requires("a")
        async def endpoint(websocket: Any) -> None:
            await websocket.close(4000)

        auth = fw.starlette.authentication.AuthCredentials(scopes)
        websocket = fw.WebSocket({"type": "websocket", "auth": auth}, None, send)
        assert anyio.run(endpoint, websocket) is None
        transcripts.append(sent)
    assert transcripts[0] == transcripts[1]


@pytest.mark.parametrize("debug", [False, True])
def test_a_template_is_rendered(tmp_path: Path, debug: bool) -> None:
    (tmp_path / "page.html").write_text("<p>{{ name }} {{ request.url.path }} {{ url_for('x', y=1) }} {{ extra }}</p>")

    def build(fw: Framework) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["router"] = Router()
            templates = fw.templating.Jinja2Templates(tmp_path, context_processors=[lambda request: {"extra": "<&>"}])
            response = templates.TemplateResponse(
                fw.Request(scope), "page.html", {"name": "<b>"}, 201, {"x": "y"}, media_type="text/x"
            )
            debugged: list[str] = []

            async def watch(message: Any) -> None:
                if message["type"] == "http.response.debug":
                    debugged.append(message["info"]["template"].name)
                    assert message["info"]["context"] is response.context
                else:
                    await send(message)

            await response(scope, receive, watch)
            assert debugged == (["page.html"] if debug else [])

        class Router:
            def url_path_for(self, name: str, **params: Any) -> Any:
                return fw.starlette.datastructures.URLPath(f"/{name}/{params}")

        return app

    both(build, Request("/a", scope={"extensions": {"http.response.debug": {}} if debug else {}}))


def test_templates_need_a_directory_or_an_environment() -> None:
    for fw in frameworks():
        for options in ({}, {"directory": ".", "env": object()}):
            with pytest.raises(AssertionError, match="either 'directory' or 'env' arguments must be passed"):
                fw.templating.Jinja2Templates(**options)
