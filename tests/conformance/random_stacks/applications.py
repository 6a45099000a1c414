"""Draws an application as source text, and tells what can be asked of it and what its parts can be told to do.

Stands on nothing; the text uses the names of `prelude`.
"""

from dataclasses import dataclass, field
from random import Random

ERRORS = ("http", "http 404", "http 304", "http 500", "starlette", "custom", "subclassed", "value", "key", "invalid")
ERRORS += ("group", "group of two", "os")
PASSING = (
    *("raise in start", "raise in body", "break", "header", "halve", "raise in receive", "replace body", "answer"),
    *("read body", "copy scope", "root path", "other path", "state", "swallow", "replace error", "raise after"),
    *("other method", "apart", "timeout", "listen"),
)
DISPATCHED = (
    *("answer", "body first", "stream first", "part of stream", "form first", "state", "scope path", "own request"),
    *("task", "never", "later", "timeout", "swallow", "replace error", "raise after", "http after", "collect", "wrap"),
    *(
        "wrap and raise",
        "background",
        "replace",
        "stream",
        "header",
        "status",
        "cookie",
        "body after",
        "disconnected",
        "call apart",
    ),
)
ENDPOINT = (
    *("stream", "stream length", "stream fails at 0", "stream fails at 1", "stream fails at 2", "sync stream"),
    *("sync stream fails at 1", "body", "chunks", "json", "form", "session", "forget", "look", "state", "large"),
    *("coded", "empty", "redirect", "background", "vary", "disconnected", "asgi"),
    *("asgi raises", "none", "user", "required"),
)
HANDLER = ("none", "again", "stream", "close", "read", "dict", *ERRORS)
HANDLED = (
    *("CustomError", "Subclassed", "Exception", "Exception", "HTTPException", "StarletteHTTPException", "ValueError"),
    *("LookupError", "RequestValidationError", "ExceptionGroup", "OSError", "WebSocketException", "404", "405", "418"),
    *("500", "409", "WebSocketDisconnect", "WebSocketRequestValidationError"),
)
PATHS = ("/a/{x}", "/a/{x}", "/b", "/b/", "/c/{x:int}", "/d/{x:path}", "/", "/e/{x}/f")
PREFIXES = ("/p", "/q/{z}", "/a", "/p/v1")
VALUES = {"x": ("1", "two", "3"), "x:int": ("4", "four"), "x:path": ("u/v", ""), "z": ("5", "six"), "y": ("7",)}


@dataclass
class Application:
    """The source text after the prelude, and what exchanges need to know.

    Attributes:
        lines: The text.
        http: Methods and path templates.
        sockets: Path templates of WebSocket routes.
        hosts: Values of ``Host`` that mean something.
        does: What each named part can be told to do.
        names: Names for ``url_for``.
        changes: Statements that change the application between exchanges.
    """

    lines: list[str] = field(default_factory=list)
    http: list[tuple[str, str]] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=lambda: ["testserver"])
    does: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {"endpoint": ENDPOINT + ERRORS, "task": ("custom",)}
    )
    names: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)
    count: int = 0

    def name(self, letter: str, does: tuple[str, ...] = ()) -> str:
        """A new name for a part."""
        self.count += 1
        name = f"{letter}{self.count}"
        if does:
            self.does[name] = does
        return name

    @property
    def source(self) -> str:
        """The text."""
        return "\n".join(self.lines)


def draw(rng: Random) -> Application:
    """Draw an application, called `app`."""
    made = Application()
    if rng.random() < 0.12:
        _starlette(rng, made, "app", 0)
    else:
        _fastapi(rng, made, "app", 0)
    return made


def _middleware(rng: Random, made: Application, app: str, most: int) -> list[str]:
    """Expressions of `Middleware(...)`."""
    return [_one_middleware(rng, made) for _ in range(rng.choice(range(most + 1)))]


def _one_middleware(rng: Random, made: Application) -> str:
    kind = rng.choice(
        ("Passing", "Passing", "function", "Based", "Based", "cors", "gzip", "hosts", "https", "session", "user")
    )
    if kind in ("Passing", "function"):
        return f"Middleware({kind}, name='{made.name('m', PASSING + ERRORS)}')"
    if kind == "Based":
        return f"Middleware(Based, name='{made.name('b', DISPATCHED + ERRORS)}')"
    if kind == "user":
        made.does["backend"] = ("refuse", "custom", "http")
        return "Middleware(AuthenticationMiddleware, backend=Backend())"
    if kind == "gzip":
        return f"Middleware(GZipMiddleware, minimum_size={rng.choice((0, 20, 500))}, compresslevel=5)"
    if kind == "hosts":
        allowed = rng.choice((["*.example.org", "testserver", "example.org"], ["*"], ["testserver"]))
        return f"Middleware(TrustedHostMiddleware, allowed_hosts={allowed}, www_redirect={rng.random() < 0.5})"
    if kind == "https":
        return "Middleware(HTTPSRedirectMiddleware)" if rng.random() < 0.3 else _cors(rng)
    if kind == "session":
        options = rng.choice(
            ("", ", max_age=None", ", https_only=True, path='/p'", ", session_cookie='s', domain='x.y'")
        )
        return f"Middleware(SessionMiddleware, secret_key='k', same_site='{rng.choice(('lax', 'strict'))}'{options})"
    return _cors(rng)


def _cors(rng: Random) -> str:
    options = {
        "allow_origins": rng.choice((["*"], ["https://a.org"], [])),
        "allow_methods": rng.choice((["GET"], ["*"], ["PUT", "POST"])),
        "allow_headers": rng.choice(([], ["*"], ["X-One"])),
        "allow_credentials": rng.random() < 0.4,
        "expose_headers": rng.choice(([], ["x-stream", "x-direct"])),
    }
    if rng.random() < 0.3:
        options["allow_origin_regex"] = r"https://.*\.b\.org"
    return f"Middleware(CORSMiddleware, {', '.join(f'{key}={value!r}' for key, value in options.items())})"


def _handlers(rng: Random, made: Application) -> str:
    """A dict of exception handlers."""
    entries = [
        f"{key}: handler('{made.name('h', HANDLER)}', '{rng.choice(('async', 'sync'))}')"
        for key in rng.sample(HANDLED, rng.choice((0, 0, 1, 2, 3)))
    ]
    return "{" + ", ".join(entries) + "}"


def _dependencies(rng: Random, made: Application) -> str:
    """A list of dependencies."""
    found = []
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        if rng.random() < 0.5:
            found.append(f"Depends(needs('{made.name('n', (*ERRORS, 'ws'))}'))")
        else:
            scope = rng.choice(("", ", scope='function'", ", scope='request'"))
            found.append(f"Depends(holds('{made.name('d', ('replace error', 'fail late', *ERRORS))}'){scope})")
    return f"[{', '.join(found)}]"


def _lifespan(rng: Random, made: Application, argument: str = "lifespan=") -> str:
    if rng.random() < 0.6:
        return ""
    name = made.name("l", ("custom", "fail late", "value"))
    return f", {argument}lifetime('{name}', {rng.choice(('None', repr({'by': name}), repr({name: 1})))})"


def _fastapi(rng: Random, made: Application, app: str, depth: int, prefix: str = "") -> None:
    options = [f"exception_handlers={_handlers(rng, made)}"]
    if rng.random() < 0.25:
        options.append(f"dependencies={_dependencies(rng, made)}")
    if rng.random() < 0.15:
        options.append("redirect_slashes=False")
    if rng.random() < 0.1:
        options.append("root_path='/proxy'")
    if rng.random() < 0.1:
        options.append(f"max_body_size={rng.choice((3, 8))}")
    if rng.random() < 0.12:
        options.append("debug=True")
    if rng.random() < 0.6:
        options.append(f"middleware=[{', '.join(_middleware(rng, made, app, 3 - depth))}]")
    made.lines.append(f"{app} = FastAPI({', '.join(options)}{_lifespan(rng, made)})")
    for _ in range(rng.choice((0, 1, 2))):
        middleware = _one_middleware(rng, made)
        made.lines.append(f"{app}.add_middleware({middleware.removeprefix('Middleware(')}")
        if rng.random() < 0.35:
            name = made.name("b", DISPATCHED + ERRORS)
            made.lines += [
                f'@{app}.middleware("http")',
                f"async def {name}(request, call_next):",
                f"    return await dispatched('{name}', request, call_next)",
                "",
            ]
    _events(rng, made, app)
    _routes(rng, made, app, depth, prefix)
    if rng.random() < 0.3:
        key = rng.choice(HANDLED)
        made.lines.append(f"{app}.add_exception_handler({key}, handler('{made.name('h', ERRORS)}', 'async'))")


def _events(rng: Random, made: Application, target: str) -> None:
    if rng.random() < 0.15:
        for kind in rng.sample(("startup", "shutdown"), rng.choice((1, 2))):
            name = made.name("v", ("custom",)) + rng.choice(("", "s"))
            made.does[name] = ("custom",)
            made.lines.append(f"{target}.on_event('{kind}')(event('{name}'))")


def _starlette(rng: Random, made: Application, app: str, depth: int, prefix: str = "") -> None:
    inner = made.name("sub")
    made.mounts.append("inner")
    _fastapi(rng, made, inner, depth + 1, prefix + "/in")
    routes = [f"Mount('/in', {inner}, name='inner')", *_plain_routes(rng, made, prefix)]
    rng.shuffle(routes)
    middleware = ", ".join(_middleware(rng, made, app, 2))
    made.lines.append(
        f"{app} = Starlette(routes=[{', '.join(routes)}], middleware=[{middleware}], "
        f"exception_handlers={_handlers(rng, made)}{_lifespan(rng, made)})"
    )


def _plain_routes(rng: Random, made: Application, prefix: str) -> list[str]:
    """Starlette's routes, as expressions."""
    routes = []
    for _ in range(rng.choice((1, 2))):
        path = rng.choice(PATHS)
        kind = rng.choice(("route", "route", "class", "socket", "socket class"))
        if kind == "route":
            name = _endpoint(rng, made)
            methods = rng.choice((["GET"], ["POST"], None, ["GET", "PUT"]))
            routes.append(f"Route('{path}', {name}, methods={methods}, name='{name}')")
            made.http.append(((methods or ["GET"])[0], prefix + path))
        elif kind == "class":
            routes.append(f"Route('{path}', Resource)")
            made.does["resource"] = ENDPOINT + ERRORS
            made.http.append((rng.choice(("GET", "DELETE")), prefix + path))
        else:
            path = "/ws" + path
            made.sockets.append(prefix + path)
            routes.append(f"WebSocketRoute('{path}', {_socket(rng, made, kind == 'socket class')})")
    return routes


def _endpoint(rng: Random, made: Application) -> str:
    name = made.name("e", ENDPOINT + ERRORS)
    made.names += [name, *(f"{mount}:{name}" for mount in made.mounts[-2:]), *(":".join([*made.mounts[-2:], name]),)]
    made.lines += [f"async def {name}(request: Request):", f"    return await answer('{name}', request)", ""]
    return name


def _socket(rng: Random, made: Application, is_class: bool) -> str:
    if is_class:
        made.does |= {
            f"on_{event}": ("custom", "ws", "http", "value", "left") for event in ("connect", "receive", "disconnect")
        }
        return rng.choice(("Socket", "TextSocket", "BytesSocket"))
    name = made.name("w")
    made.names.append(name)
    made.lines += [f"async def {name}(websocket: WebSocket):", f"    await converse('{name}', websocket)", ""]
    return name


def _routes(rng: Random, made: Application, target: str, depth: int, prefix: str) -> None:
    """Statements that add routes to an application or a router."""
    for _ in range(rng.choice((1, 2, 3))):
        kind = rng.random()
        path = rng.choice(PATHS)
        if kind < 0.5:
            name = _endpoint(rng, made)
            method = rng.choice(("GET", "GET", "GET", "POST", "PUT", "HEAD", "OPTIONS"))
            dependencies = _dependencies(rng, made)
            statement = f"{target}.add_api_route('{path}', {name}, methods=['{method}'], dependencies={dependencies})"
            if rng.random() < 0.12:
                made.changes.append(statement)
            else:
                made.lines.append(statement)
            made.http.append((method, prefix + path))
        elif kind < 0.75:
            made.lines.append(
                f"{target}.add_api_websocket_route('/ws{path}', {_socket(rng, made, False)}, "
                f"dependencies={_dependencies(rng, made)})"
            )
            made.sockets.append(prefix + "/ws" + path)
        else:
            for route in _plain_routes(rng, made, prefix):
                made.lines.append(
                    f"{target}.router.routes.append({route})"
                    if "sub" in target or target == "app"
                    else f"{target}.routes.append({route})"
                )
    if depth < 2:
        for _ in range(rng.choice((0, 1, 1, 2))):
            _nested(rng, made, target, depth, prefix)


def _nested(rng: Random, made: Application, target: str, depth: int, prefix: str) -> None:
    kind = rng.choice(("include", "include", "include", "mount", "mount fastapi", "host", "bare", "starlette"))
    at = rng.choice([each for each in PREFIXES if "{" not in each or each not in prefix])
    if kind == "include":
        router = made.name("router")
        options = [f"dependencies={_dependencies(rng, made)}"]
        own = rng.choice(("", "/own"))
        if rng.random() < 0.3:
            options.append(
                f"route_class=noting('{made.name('r', ('body first', 'answer', 'swallow', 'header', *ERRORS))}')"
            )
        if rng.random() < 0.1:
            options.append("redirect_slashes=False")
        if rng.random() < 0.07:
            options.append("max_body_size=3")
        made.lines.append(f"{router} = APIRouter(prefix='{own}', {', '.join(options)}{_lifespan(rng, made)})")
        include = f"{target}.include_router({router}, prefix='{at}', dependencies={_dependencies(rng, made)})"
        early = rng.random() < 0.2
        if early:
            made.lines.append(include)
        _events(rng, made, router)
        _routes(rng, made, router, depth + 1, prefix + at + own)
        if not early:
            (made.changes if rng.random() < 0.1 else made.lines).append(include)
        if rng.random() < 0.12:
            made.lines.append(f"{target}.include_router({router}, prefix='/again')")
            made.http += [
                (method, prefix + "/again" + path[len(prefix + at) :])
                for method, path in made.http
                if path.startswith(prefix + at + own)
            ]
        return
    inner = made.name("sub")
    made.mounts.append(inner)
    at = at if rng.random() < 0.85 else ""
    if kind == "bare":
        made.does["bare"] = ERRORS
        made.http.append(("GET", prefix + at + "/any"))
        made.sockets.append(prefix + at + "/any")
        middleware = f", middleware=[{', '.join(_middleware(rng, made, inner, 1))}]"
        expression = f"Mount('{at}', bare, name='{inner}'{middleware})"
    elif kind == "mount":
        routes = ", ".join(_plain_routes(rng, made, prefix + at))
        middleware = f", middleware=[{', '.join(_middleware(rng, made, inner, 1))}]"
        expression = f"Mount('{at}', routes=[{routes}], name='{inner}'{middleware})"
    elif kind == "host":
        host = rng.choice(("api.example.org", "{sub}.example.org"))
        made.hosts.append(host.replace("{sub}", "any"))
        expression = f"Host('{host}', Router(routes=[{', '.join(_plain_routes(rng, made, prefix))}]), name='{inner}')"
    else:
        (_fastapi if kind == "mount fastapi" else _starlette)(rng, made, inner, depth + 1, prefix + at)
        made.lines.append(f"{target}.mount('{at}', {inner}, name='{inner}')")
        return
    is_app = target == "app" or target.startswith("sub")
    made.lines.append(f"{target}.{'router.' if is_app else ''}routes.append({expression})")
