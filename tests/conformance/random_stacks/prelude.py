"""The parts that applications are made of, as source text: ``ROOT`` is fastapi or forzium, ``STARLETTE`` starlette or forzium.

What a part does in one exchange stands under its name in ``DO``; a part that is not named there passes on.
"""

PRELUDE = '''\
import contextlib
import json
from contextvars import ContextVar
from typing import Annotated, Any

import anyio

from ROOT import (
    APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response, WebSocket, WebSocketDisconnect,
    WebSocketException,
)
from ROOT.exceptions import RequestValidationError, StarletteHTTPException, WebSocketRequestValidationError
from ROOT.responses import JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from ROOT.routing import APIRoute
from STARLETTE.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser, requires
from STARLETTE.applications import Starlette
from STARLETTE.background import BackgroundTask
from STARLETTE.endpoints import HTTPEndpoint, WebSocketEndpoint
from STARLETTE.middleware import Middleware
from STARLETTE.middleware.authentication import AuthenticationMiddleware
from STARLETTE.middleware.base import BaseHTTPMiddleware
from STARLETTE.middleware.cors import CORSMiddleware
from STARLETTE.middleware.gzip import GZipMiddleware
from STARLETTE.middleware.httpsredirect import HTTPSRedirectMiddleware
from STARLETTE.middleware.sessions import SessionMiddleware
from STARLETTE.middleware.trustedhost import TrustedHostMiddleware
from STARLETTE.routing import Host, Mount, Route, Router, WebSocketRoute
from STARLETTE.types import ASGIApp

VAR = ContextVar("VAR", default="unset")


class CustomError(Exception):
    pass


class Subclassed(CustomError):
    pass


ERRORS = {
    "http": lambda: HTTPException(418, {"at": [1]}, {"x-error": "1"}),
    "http 404": lambda: HTTPException(404),
    "http 304": lambda: HTTPException(304),
    "http 500": lambda: HTTPException(500, "five"),
    "starlette": lambda: StarletteHTTPException(409, "starlette"),
    "custom": lambda: CustomError("custom"),
    "subclassed": lambda: Subclassed("subclassed"),
    "value": lambda: ValueError("bad"),
    "key": lambda: KeyError("k"),
    "invalid": lambda: RequestValidationError([{"type": "t", "loc": ("a",), "msg": "m", "input": None}]),
    "group": lambda: ExceptionGroup("g", [CustomError("in group")]),
    "group of two": lambda: ExceptionGroup("g", [ValueError("one"), HTTPException(418)]),
    "ws": lambda: WebSocketException(3001, "ws reason"),
    "left": lambda: WebSocketDisconnect(1001, "gone"),
    "os": lambda: OSError("broken"),
}


def shown(headers: Any) -> Any:
    """The headers, without the length of what is compressed or a debug page."""
    free = {"content-length", "vary"} if DEBUG else {"content-length"} if "content-encoding" in headers else set()
    return [pair for pair in headers.items() if pair[0] not in free]


def kind(value: Any) -> str:
    return type(value).__name__.replace("ForziumApp", "FastAPI")


def fail(name: str) -> None:
    does = DO.get(name, "")
    if does in ERRORS:
        raise ERRORS[does]()


def after() -> str:
    """The variable on the way out: where `http` middleware is, Starlette does not let it out."""
    return "" if IS_BASED else VAR.get()


def told(error: BaseException) -> str:
    return " | ".join(describe(error))


def brief(message: Any) -> str:
    return " ".join([message["type"], str(message.get("status", "")), repr(message.get("body", b"")[:20])])


class Passing:
    """A middleware that is an ASGI class."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self.app = app
        self.name = name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        name, started = self.name, False
        does = DO.get(name, "")
        LOG.append(f"{name} in {scope['type']} {scope['path']} {scope.get('root_path')!r} {VAR.get()}")
        VAR.set(name)

        async def sending(message: Any) -> None:
            nonlocal started
            started = True
            is_start = message["type"].endswith(("start", "accept"))
            LOG.append(f"{name} sends {message['type']} {message.get('status', '')}")
            if does == "raise in start" and is_start or does == "raise in body" and not is_start:
                raise CustomError(f"{name} {does}")
            if does == "break" and not is_start:
                raise OSError(f"{name} is broken")
            if does == "header" and is_start:
                message = {**message, "headers": [*message.get("headers", ()), (b"x-" + name.encode(), b"1")]}
            if does == "halve" and message["type"] == "http.response.body" and len(message.get("body", b"")) > 1:
                await send({"type": "http.response.body", "body": message["body"][:1], "more_body": True})
                message = {**message, "body": message["body"][1:]}
            await send(message)

        async def receiving() -> Any:
            if does == "raise in receive":
                raise CustomError(f"{name} {does}")
            message = await receive()
            if does == "replace body" and message["type"] == "http.request":
                message = {**message, "body": message.get("body", b"").upper()}
            return message

        if does == "answer":
            response = PlainTextResponse(f"answered by {name}", 203)
            if scope["type"] == "websocket":
                return await send({"type": "websocket.close", "code": 3500, "reason": name})
            return await response(scope, receive, send)
        if does == "read body" and scope["type"] == "http":
            body, message = b"", {"more_body": True}
            while message.get("more_body"):
                message = await receive()
                body += message.get("body", b"")
            LOG.append(f"{name} read {body!r}")
            parts = [{"type": "http.request", "body": body, "more_body": False}]

            async def replay() -> Any:
                return parts.pop() if parts else await receive()

            inner = replay
        else:
            inner = receiving
        fail(name)
        mine = scope
        if does == "copy scope":
            mine = dict(scope)
        if does == "root path":
            mine = {**scope, "root_path": scope.get("root_path", "") + "/outer", "path": "/outer" + scope["path"]}
        if does == "other path":
            mine = {**scope, "path": "/a/1"}
        if does == "state":
            mine.setdefault("state", {})["by"] = name
        if does == "other method" and scope["type"] == "http":
            mine["method"] = "POST" if scope["method"] == "GET" else "GET"
        try:
            if does == "apart":
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self.app, mine, inner, sending)
            elif does == "timeout":
                with anyio.fail_after(5):
                    await self.app(mine, inner, sending)
            else:
                await self.app(mine, inner, sending)
            if does == "listen":
                LOG.append(f"{name} hears {(await receive())['type']}")
        except Exception as error:
            LOG.append(f"{name} caught {told(error)}")
            if does == "swallow":
                if not started and scope["type"] == "http":
                    await PlainTextResponse("swallowed", 503)(scope, receive, send)
                return
            if does == "replace error":
                raise CustomError(f"{name} instead") from error
            raise
        except BaseException as error:
            LOG.append(f"{name} was ended")
            raise
        finally:
            endpoint = getattr(mine.get("endpoint"), "__name__", None) or kind(mine.get("endpoint"))
            seen = [endpoint, mine.get("path_params"), mine["path"], mine.get("root_path"), "app" in mine, "router" in mine]
            LOG.append(f"{name} out {after()} {seen} {getattr(mine.get('route'), 'path', None)}")
        if does == "raise after":
            raise CustomError(f"{name} {does}")


def function(app: ASGIApp, name: str) -> ASGIApp:
    """A middleware that is a function."""
    inner = Passing(app, name)

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)

    return asgi


async def dispatched(name: str, request: Request, call_next: Any) -> Any:
    does = DO.get(name, "")
    LOG.append(f"{name} in {request.method} {request.url.path} {VAR.get()}")
    VAR.set(name)
    if does == "answer":
        return PlainTextResponse(f"answered by {name}", 203, headers={"x-early": name})
    if does == "body first":
        LOG.append(f"{name} body {await request.body()!r}")
    if does == "stream first":
        LOG.append(f"{name} stream {[chunk async for chunk in request.stream()]}")
    if does == "part of stream":
        async for chunk in request.stream():
            LOG.append(f"{name} part {chunk!r}")
            break
    if does == "form first":
        LOG.append(f"{name} form {(await request.form()).multi_items()}")
    if does == "state":
        request.state.by = name
    if does == "disconnected":
        LOG.append(f"{name} left {await request.is_disconnected()}")
    if does == "scope path":
        request.scope["path"] = "/a/1"
    fail(name)
    mine = request
    if does == "own request":
        mine = Request(request.scope, request.receive)
    if does == "task":
        responses = []

        async def apart() -> None:
            responses.append(await call_next(mine))

        async with anyio.create_task_group() as group:
            group.start_soon(apart)
        response = responses[0]
    elif does == "never":
        return None
    elif does == "later":
        await call_next(mine)
        return PlainTextResponse(f"ignored by {name}", 202)
    elif does == "timeout":
        with anyio.move_on_after(5):
            response = await call_next(mine)
    else:
        try:
            response = await call_next(mine)
        except Exception as error:
            LOG.append(f"{name} caught {told(error)}")
            if does == "swallow":
                return JSONResponse({"caught": type(error).__name__}, 503)
            if does == "replace error":
                raise CustomError(f"{name} instead")
            raise
    LOG.append(f"{name} got {response.status_code} {shown(response.headers)}")
    if does == "raise after":
        raise CustomError(f"{name} {does}")
    if does == "http after":
        raise HTTPException(416, name)
    if does == "collect":
        body = b"".join([chunk async for chunk in response.body_iterator])
        LOG.append(f"{name} collected {body!r}" if body[:2] != bytes((31, 139)) else f"{name} collected what is compressed")
        return Response(body.swapcase(), response.status_code, dict(response.headers), background=response.background)
    if does == "wrap":
        response.body_iterator = wrapping(name, response.body_iterator)
        del response.headers["content-length"]
    if does == "wrap and raise":
        response.body_iterator = wrapping(name, response.body_iterator, True)
    if does == "background":
        response.background = BackgroundTask(task, name)
    if does == "replace":
        return JSONResponse({"instead": name}, 298)
    if does == "stream":
        return StreamingResponse(wrapping(name, response.body_iterator), response.status_code)
    if does == "header":
        response.headers["x-" + name] = "1"
        response.headers.append("vary", name)
    if does == "status":
        response.status_code = 299
    if does == "cookie":
        response.set_cookie("by", name)
    if does == "body after":
        LOG.append(f"{name} body {await request.body()!r}")
    return response


async def wrapping(name: str, chunks: Any, fails: bool = False) -> Any:
    LOG.append(f"{name} wraps")
    async for chunk in chunks:
        yield chunk + b"!" if isinstance(chunk, bytes) else chunk
        if fails:
            raise CustomError(f"{name} in stream")
    LOG.append(f"{name} wrapped")


class Based(BaseHTTPMiddleware):
    def __init__(self, app: ASGIApp, name: str) -> None:
        super().__init__(app)
        self.name = name

    async def dispatch(self, request: Request, call_next: Any) -> Any:
        return await dispatched(self.name, request, call_next)


def task(name: str) -> None:
    LOG.append(f"task {name} {after()}")
    fail("task")


async def task_async(name: str) -> None:
    await anyio.sleep(0)
    LOG.append(f"async task {name} {after()}")
    fail("task")


async def chunks(name: str, fails: str) -> Any:
    try:
        for number in range(3):
            if fails == f"stream fails at {number}":
                raise CustomError(fails)
            LOG.append(f"{name} chunk {number} {after()}")
            yield f"{name}{number}".encode() * 3
            await anyio.sleep(0)
    finally:
        LOG.append(f"{name} chunks end")


def sync_chunks(name: str, fails: str) -> Any:
    for number in range(3):
        if fails == f"stream fails at {number}":
            raise CustomError(fails)
        yield f"{name}{number}".encode() * 3


@requires("a", status_code=404)
async def guarded(request: Request) -> Any:
    return PlainTextResponse("guarded")


async def answer(name: str, request: Request) -> Any:
    """What every endpoint does."""
    does = DO.get(name, DO.get("endpoint", ""))
    LOG.append(f"{name} {request.method} {request.url.path} {request.scope.get('root_path')!r} {request.path_params} {VAR.get()}")
    VAR.set(name)
    if does in ERRORS:
        raise ERRORS[does]()
    if does.startswith("stream"):
        headers = {"x-stream": "1", **({"content-length": "18"} if does == "stream length" else {})}
        return StreamingResponse(chunks(name, does), 200, headers, "text/plain", BackgroundTask(task, name))
    if does.startswith("sync stream"):
        return StreamingResponse(sync_chunks(name, does[5:]), media_type="text/event-stream")
    if does == "body":
        return PlainTextResponse(repr(await request.body()))
    if does == "chunks":
        return PlainTextResponse(repr([chunk async for chunk in request.stream()]))
    if does == "json":
        return JSONResponse({"json": await request.json()})
    if does == "form":
        return JSONResponse({"form": (await request.form()).multi_items()})
    if does == "session":
        if "session" not in request.scope:
            return JSONResponse({"no session": True})
        count = request.session["count"] = request.session.get("count", 0) + 1
        return JSONResponse({"count": count})
    if does == "forget":
        request.scope.get("session", {}).clear()
        return JSONResponse({"forgot": True})
    if does == "look":
        return JSONResponse(dict(request.scope.get("session", {})))
    if does == "user":
        return PlainTextResponse(f"{request.scope.get('user') and request.user.display_name} {request.scope.get('auth') and request.auth.scopes}")
    if does == "required":
        return await guarded(request)
    if does == "state":
        return JSONResponse({"state": dict(request.state._state), "app": kind(request.app)})
    if does == "large":
        return PlainTextResponse("large " * 300, headers={"etag": "x"})
    if does == "coded":
        return PlainTextResponse("coded " * 300, headers={"content-encoding": "br"})
    if does == "empty":
        return Response(status_code=204)
    if does == "redirect":
        return RedirectResponse("/a/1?x=ä")
    if does == "background":
        tasks = BackgroundTasks()
        tasks.add_task(task, name)
        tasks.add_task(task_async, name=name + "2")
        return PlainTextResponse("with tasks", background=tasks)
    if does == "vary":
        return PlainTextResponse("vary " * 200, headers={"vary": "Cookie", "access-control-allow-origin": "own"})
    if does.startswith("url "):
        url = request.url_for(*does.split(" ")[1:2], **dict(part.split("=") for part in does.split(" ")[2:]))
        return PlainTextResponse(str(url))
    if does == "disconnected":
        return JSONResponse({"left": await request.is_disconnected()})
    if does == "asgi":
        return Direct()
    if does == "asgi raises":
        return Direct(status_code=201)
    if does == "none":
        return None
    return JSONResponse({"name": name, "path": dict(request.path_params), "query": str(request.query_params)})


class Backend(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> Any:
        LOG.append(f"backend {conn.scope['type']} {VAR.get()}")
        fail("backend")
        if "origin" not in conn.headers:
            return None
        if DO.get("backend") == "refuse":
            raise AuthenticationError("refused")
        return AuthCredentials(["a"]), SimpleUser("somebody")


class Direct(Response):
    """A response that sends what it wants."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 207, "headers": [(b"x-direct", b"1")]})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        if self.status_code == 201:
            raise CustomError("in a response")
        await send({"type": "http.response.body", "body": b"two"})


def needs(name: str) -> Any:
    """A dependency without `yield`."""

    def plain(request: Request = None, websocket: WebSocket = None) -> str:
        LOG.append(f"{name} called {(request or websocket).url.path} {VAR.get()}")
        VAR.set(name)
        fail(name)
        return name

    return plain


def holds(name: str) -> Any:
    """A dependency with `yield`."""

    async def held() -> Any:
        LOG.append(f"{name} entered {VAR.get()}")
        fail(name)
        try:
            yield name
        except BaseException as error:
            LOG.append(f"{name} caught {told(error)}" if isinstance(error, Exception) else f"{name} was ended")
            if DO.get(name) == "replace error":
                raise CustomError(f"{name} instead")
            raise
        finally:
            LOG.append(f"{name} left")
            if DO.get(name) == "fail late":
                raise CustomError(f"{name} late")

    return held


def handler(name: str, kind: str) -> Any:
    """An exception handler."""

    def handle(request: Any, error: Exception) -> Any:
        LOG.append(f"{name} handles {told(error)} {after()} {request.scope['type']} {type(request).__name__}")
        fail(name)
        if DO.get(name) == "none":
            return None
        if DO.get(name) == "again":
            raise error
        if DO.get(name) == "dict":
            return {"handled by": name}
        if request.scope["type"] == "websocket":
            return None
        if DO.get(name) == "stream":
            return StreamingResponse(chunks(name, ""), 499)
        return JSONResponse({"handled by": name}, 499, background=BackgroundTask(task, name))

    async def handle_async(request: Any, error: Exception) -> Any:
        await anyio.sleep(0)
        if DO.get(name) == "read" and request.scope["type"] == "http":
            LOG.append(f"{name} reads {await request.body()!r}")
        response = handle(request, error)
        if request.scope["type"] == "websocket" and DO.get(name) == "close":
            await request.close(3100, name)
        return response

    return handle_async if kind == "async" else handle


def noting(name: str) -> Any:
    """A route class with a handler of its own."""

    class Noting(APIRoute):
        def get_route_handler(self) -> Any:
            original = super().get_route_handler()

            async def handle(request: Request) -> Any:
                does = DO.get(name, "")
                LOG.append(f"{name} begins {VAR.get()}")
                fail(name)
                if does == "body first":
                    LOG.append(f"{name} body {await request.body()!r}")
                if does == "answer":
                    return PlainTextResponse(f"answered by {name}", 203)
                try:
                    response = await original(request)
                except Exception as error:
                    LOG.append(f"{name} caught {told(error)}")
                    if does == "swallow":
                        return JSONResponse({"caught": type(error).__name__}, 502)
                    raise
                LOG.append(f"{name} ends {response.status_code}")
                if does == "header":
                    response.headers["x-route"] = name
                return response

            return handle

    return Noting


async def converse(name: str, socket: Any) -> None:
    """What every WebSocket endpoint does: the calls that ``DO["calls"]`` lists."""
    LOG.append(f"{name} {socket.url.path} {socket.scope.get('root_path')!r} {socket.path_params} {VAR.get()}")
    VAR.set(name)
    for call in DO.get("calls", "accept;receive_text;send_text hi;close").split(";"):
        try:
            LOG.append(f"{name} {call}: {await called(name, socket, *call.split(' '))!r}")
        except Exception as error:
            states = socket.client_state.name, socket.application_state.name
            LOG.append(f"{name} {call} raised {told(error)} {states}")
            if DO.get("caught") != "yes":
                raise


async def called(name: str, socket: Any, call: str, *arguments: str) -> Any:
    if call == "accept":
        options = {"protocol": {"subprotocol": "tea"}, "headers": {"headers": [(b"X-Ws", b"1")]}}
        return await socket.accept(**(options[arguments[0]] if arguments else {}))
    if call in ("receive", "receive_text", "receive_bytes"):
        return await getattr(socket, call)()
    if call == "receive_json":
        return await socket.receive_json(*arguments)
    if call in ("iter_text", "iter_bytes", "iter_json"):
        return [item async for item in getattr(socket, call)()]
    if call == "send_text":
        return await socket.send_text(*arguments)
    if call == "send_bytes":
        return await socket.send_bytes(arguments[0].encode())
    if call == "send_json":
        return await socket.send_json({"a": [1, "ä", None]}, *arguments)
    if call == "send_wrong":
        return await socket.send_json({"a": object()})
    if call == "send":
        return await socket.send(json.loads(" ".join(arguments)))
    if call == "close":
        return await socket.close(*[int(arguments[0]), *arguments[1:]] if arguments else ())
    if call == "denial":
        return await socket.send_denial_response(PlainTextResponse("denied", 403, {"x-denied": "1"}))
    if call == "denial_stream":
        return await socket.send_denial_response(StreamingResponse(chunks(name, ""), 401))
    if call == "raise":
        raise ERRORS[" ".join(arguments)]()
    if call == "sleep":
        return await anyio.sleep(0)
    if call == "session":
        return dict(socket.scope.get("session", {}))
    if call == "url_for":
        return str(socket.url_for(arguments[0]))
    raise AssertionError(call)


class Socket(WebSocketEndpoint):
    encoding = "json"

    async def on_connect(self, websocket: Any) -> None:
        LOG.append("class connects")
        fail("on_connect")
        await websocket.accept()

    async def on_receive(self, websocket: Any, data: Any) -> None:
        LOG.append(f"class receives {data!r}")
        fail("on_receive")
        await websocket.send_json(data)

    async def on_disconnect(self, websocket: Any, close_code: int) -> None:
        LOG.append(f"class disconnects {close_code}")
        fail("on_disconnect")


class TextSocket(Socket):
    encoding = "text"


class BytesSocket(Socket):
    encoding = "bytes"

    async def on_receive(self, websocket: Any, data: Any) -> None:
        LOG.append(f"class receives {data!r}")
        await websocket.send_bytes(data)


class Resource(HTTPEndpoint):
    async def get(self, request: Request) -> Any:
        return await answer("resource", request)

    def delete(self, request: Request) -> Any:
        LOG.append(f"delete {VAR.get()}")
        fail("resource")
        return PlainTextResponse("deleted")


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application of nobody's."""
    LOG.append(f"bare {scope['type']} {scope.get('path')} {scope.get('root_path')!r} {VAR.get()}")
    fail("bare")
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 3600, "reason": "bare"})
    elif scope["type"] == "http":
        await PlainTextResponse(f"bare {scope['path']} {scope.get('root_path')}")(scope, receive, send)


def lifetime(name: str, state: Any) -> Any:
    """A lifespan."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> Any:
        LOG.append(f"{name} starts {kind(app)}")
        fail(name)
        try:
            yield state
        finally:
            LOG.append(f"{name} stops")
            if DO.get(name) == "fail late":
                raise CustomError(f"{name} late")

    return lifespan


def event(name: str) -> Any:
    """A handler of `startup` or `shutdown`."""

    async def on_event() -> None:
        LOG.append(f"event {name}")
        fail(name)

    def on_event_sync() -> None:
        LOG.append(f"sync event {name}")
        fail(name)

    return on_event_sync if name.endswith("s") else on_event
'''
