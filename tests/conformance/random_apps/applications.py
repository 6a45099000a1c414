"""Applications as source text: dependencies, routers, operations, exception handlers.

Stands on `declarations`. The text begins with the prelude of `driver`, which has the imports, `at` (notes that a point
is reached, and fails there if the request says so) and `note` (notes the values received).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from . import answers, kinds
from . import declarations as d
from .declarations import Model, Param

STYLES = (
    *("async", "sync", "async", "sync", "async gen", "async gen", "sync gen", "sync gen"),
    *("class", "instance", "async instance", "gen instance", "partial", "method", "wrapped", "security"),
    *("dataclass", "model", "odd", "odd"),
)
# Dependencies that are no function of the application: what there is, and whether it is a generator.
ODD = (
    ("functools.partial(functools.partial(served, extra=Held), other='p')", False),
    ("functools.partial(served_gen, other='p')", True),
    ("functools.partial(Served, other='p')", False),
    ("Served.of", False),
    ("Served.static", False),
    ("Served('it').again", False),
    ("functools.partial(Served('it').again, other='p')", False),
    ("Served('it').stream", True),
    ("lambda q='l': q", False),
    ("contextlib.contextmanager(served_gen)", False),
    ("functools.wraps(served)(lambda *args, **kwargs: served(*args, **kwargs))", False),
    ("OAuth2PasswordRequestForm", False),
    ("OAuth2PasswordRequestFormStrict", False),
    ("Held", False),
)
SECURITY = (
    "APIKeyHeader(name='x-key')",
    "APIKeyHeader(name='x-key', auto_error=False)",
    "APIKeyQuery(name='key')",
    "APIKeyCookie(name='key', scheme_name='Key')",
    "HTTPBasic()",
    "HTTPBasic(realm='r', auto_error=False)",
    "HTTPBearer()",
    "HTTPBearer(auto_error=False)",
    "HTTPDigest()",
    "OAuth2PasswordBearer(tokenUrl='token', scopes={'read': 'Read', 'write': 'Write'})",
    "OAuth2PasswordBearer(tokenUrl='token', auto_error=False)",
    "OAuth2AuthorizationCodeBearer(authorizationUrl='auth', tokenUrl='token')",
    "OpenIdConnect(openIdConnectUrl='connect')",
    "OpenIdConnect(openIdConnectUrl='connect', auto_error=False)",
    "HTTPDigest(auto_error=False)",
    "HTTPBearer(bearerFormat='JWT', scheme_name='Own', description='d')",
    "OAuth2(flows={'clientCredentials': {'tokenUrl': 't', 'scopes': {'a': 'A'}}})",
    "OAuth2(flows={'implicit': {'authorizationUrl': 't'}}, auto_error=False)",
    "OAuth2AuthorizationCodeBearer(authorizationUrl='a', tokenUrl='t', refreshUrl='r', auto_error=False)",
    "APIKeyCookie(name='key', auto_error=False)",
    "APIKeyQuery(name='key', auto_error=False, description='d')",
)
SPECIALS = (
    "request: Request",
    "response: Response",
    "background: BackgroundTasks",
    "connection: HTTPConnection",
    "scopes: SecurityScopes",
)


OAUTH2_FORM = tuple(
    Param(name, "form", kinds.Kind("str", kinds.among(*texts), kinds.among(*texts)), (name,), required, name)
    for name, texts, required in (
        ("grant_type", ("password", "password", "other", ""), True),
        ("username", ("u", "é"), True),
        ("password", ("p", ""), True),
        ("scope", ("read write", "", " a  b "), False),
        ("client_id", ("c",), False),
        ("client_secret", ("s",), False),
    )
)


@dataclass
class Callee:
    """A dependency or an endpoint.

    Attributes:
        name: What it is called.
        source: Its definition.
        params: The parameters it and everything it needs take.
        points: Where requests may let it fail.
        yields: Whether it is a generator.
    """

    name: str
    source: str
    params: list[Param] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    yields: bool = False


@dataclass
class Operation:
    """What requests need to know of an operation: method, path, parameters, points of failure, and its body."""

    method: str
    path: str
    params: list[Param]
    points: list[str]
    style: str


@dataclass
class Application:
    """The source text after the prelude, the operations, and statements that change it between requests."""

    source: str
    operations: list[Operation]
    changes: list[str]
    points: list[str]


class Writer:
    """Draws one application."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        # JSON bodies and forms do not mix well; a few applications try.
        self.style = rng.choice(["none", "json", "json", "json", "form", "form", "files", "files"])
        self.models: list[Model] = []
        self.callees: list[Callee] = []
        self.odd: set[str] = set()
        self.parts: list[str] = []
        self.all_points: list[str] = []

    def chance(self, of: float) -> bool:
        return self.rng.random() < of

    def draw(self) -> Application:
        """Draw the whole."""
        rng = self.rng
        for index in range(rng.choice([0, 1, 1, 2, 3])):
            model = d.draw_model(rng, f"Model{index}", self.models, flat=self.chance(0.6))
            self.models.append(model)
            self.parts.append(model.source)
        for index in range(rng.choice([0, 1, 2, 3, 4, 5])):
            self._dependency(f"d{index}")
        self.parts.append(self._application())
        operations = self._routers()
        self._handlers()
        changes = self._changes()
        source = "\n\n".join(self.parts)
        return Application(d.definitions(source) + "\n\n" + source, operations, changes, self.all_points)

    # Signatures

    def _params(self, most: int, taken: set[str], *, endpoint: bool) -> list[Param]:
        rng = self.rng
        params = []
        for name in rng.sample(d.NAMES, rng.randint(0, most)):
            if name in taken:
                continue
            params.append(d.draw_param(rng, name, self._place(endpoint), self.models))
        return params

    def _place(self, endpoint: bool) -> str:
        rng = self.rng
        place = rng.choice(["query", "query", "header", "cookie", "body", "body" if endpoint else "query"])
        if place != "body":
            return place
        if self.style == "none":
            return "query"
        if self.style == "json" or self.chance(0.03):
            return "body"
        return rng.choice(["form", "file"]) if self.style == "files" else "form"

    def _needs(
        self, most: int, params: list[Param], points: list[str], known: Sequence[Callee] | None = None
    ) -> list[str]:
        """Draw dependencies: their declarations. What they take and where they fail is added to the lists."""
        sources = []
        known = self.callees if known is None else known
        for index in range(min(most, self.rng.choice([0, 0, 1, 1, 2, 3]))):
            if not known:
                break
            callee = self.rng.choice(known)
            params += callee.params
            points += callee.points
            declared = self._depends(callee)
            annotation = callee.name if callee.name.startswith("D") and self.chance(0.5) else "Any"
            if annotation != "Any" and self.chance(0.3):
                declared = "Depends()"
            if self.chance(0.5):
                sources.append(f"s{index}: Annotated[{annotation}, {declared}]")
            else:
                sources.append(f"s{index}: {annotation} = {declared}")
        return sources

    def _depends(self, callee: Callee) -> str:
        options = []
        if self.chance(0.15):
            options.append("use_cache=False")
        if self.chance(0.15):
            scopes = self.rng.sample(["read", "write", "admin"], self.rng.choice([0, 1, 2]))
            return f"Security({', '.join([callee.name, f'scopes={scopes!r}', *options])})"
        if callee.yields and self.chance(0.4):
            options.append(f"scope={self.rng.choice(['function', 'request'])!r}")
        if self.chance(0.03):
            options.append("max_concurrency=2")
        return f"Depends({', '.join([callee.name, *options])})"

    def _specials(self) -> list[str]:
        return [each for each in SPECIALS if self.chance(0.1)]

    def _body(self, name: str, own: list[str], specials: list[str], *, awaits: bool) -> list[str]:
        """What a function does: note where it is and what it was given; touch what was injected."""
        values = [each.split(":")[0] for each in own]
        lines = [f"at({name!r})", f"note({name!r}, {', '.join(f'{each}={each}' for each in values)})"]
        if awaits and self.chance(0.3):
            lines.append("await anyio.sleep(0)")
        if self.chance(0.15):
            lines.append(f"VAR.set({name!r})")
        if self.chance(0.15):
            lines.append(f"LOG.append({name + ' sees '!r} + VAR.get())")
        names = [each.split(":")[0] for each in specials]
        if "response" in names:
            touches = [
                f"response.headers['x-{name.lower()}'] = 'set'",
                f"response.headers.append('x-more', {name!r})",
                f"response.set_cookie({name!r}, 'value', max_age=3)",
                "response.status_code = 202",
                "response.headers['content-type'] = 'text/odd'",
                "response.delete_cookie('gone')",
            ]
            lines += self.rng.sample(touches, self.rng.choice([1, 1, 2]))
        if "background" in names:
            task = self.rng.choice(["later", "later_async"])
            lines.append(f"background.add_task({task}, {name!r}, key=1)")
        if "request" in names:
            touch = self.rng.choice(
                [
                    *("request.method", "request.url.path", "request.query_params.multi_items()", "request.cookies"),
                    *("request.path_params", "request.headers.get('x-token')", "request.scope['route'].path"),
                    "(request.state.__dict__, setattr(request.state, 'a', 1), request.state.a)[2]",
                ]
            )
            lines.append(f"note({name + ' request'!r}, it={touch})")
            if awaits and self.chance(0.15):
                read = self.rng.choice(["body()", "json()", "form()"])
                lines.append(f"note({name + ' body'!r}, it=await request.{read})")
        if "connection" in names:
            lines.append(f"note({name + ' connection'!r}, it=connection.url.path)")
        if "scopes" in names:
            lines.append(f"note({name + ' scopes'!r}, it=(scopes.scopes, scopes.scope_str))")
        return lines

    # Dependencies

    def _dependency(self, name: str) -> None:
        style = self.rng.choice(STYLES)
        if style == "security":
            self.parts.append(f"{name} = {self.rng.choice(SECURITY)}")
            self.callees.append(Callee(name, ""))
            return
        if style in ("dataclass", "model"):
            self._plain_class(name.upper(), style)
            return
        if style == "odd":
            odd, yields = self.rng.choice(ODD)
            if "OAuth2" in odd and self.style not in ("form", "files"):
                odd, yields = ODD[0]
            self.parts.append(f"{name} = {odd}")
            self.odd.add(name)
            self.callees.append(Callee(name, "", list(OAUTH2_FORM) if "OAuth2" in odd else [], [], yields))
            return
        if style == "class":
            name = name.upper()
        params = self._params(2, set(), endpoint=False)
        own = [each.source for each in params]
        points = [name]
        needed = list(params)
        own += self._needs(2, needed, points)
        specials = self._specials()
        if "background: BackgroundTasks" in specials:
            points.append(f"task {name}")
        is_async = style.startswith("async") or (style in ("partial", "method", "gen instance") and self.chance(0.5))
        yields = "gen" in style
        lines = self._body(name, own, specials, awaits=is_async)
        value = f"f'{name} {{len(LOG)}}'"
        if self.chance(0.1):
            value = "None"
        if yields:
            lines += self._yielding(name, value)
            points.append(f"{name} exit")
        elif style != "class":
            lines.append(f"return {value}")
        signature = d.signature([*own, *specials])
        self.parts.append(self._callable(name, style, signature, lines, is_async))
        self.callees.append(Callee(name, "", needed, points, yields))
        self.all_points += points

    def _plain_class(self, name: str, style: str) -> None:
        """A dataclass or a model as a dependency: its fields are the parameters."""
        if style == "model":
            model = d.draw_model(self.rng, name, [], flat=True)
            for each in model.fields:
                each.place = "query" if each.kind.shape == "scalar" else "body"
            self.parts.append(model.source)
            self.callees.append(Callee(name, "", model.fields))
            return
        params = self._params(3, set(), endpoint=False)
        params.sort(key=lambda each: " = " in each.source)
        if any(" = " in each.source and "[]" in each.source.rpartition(" = ")[2] for each in params):
            params = []  # A dataclass takes no list for a default.
        lines = [each.source for each in params] or ["pass"]
        self.parts.append("@dataclass\nclass {}:\n    {}".format(name, "\n    ".join(lines)))
        self.callees.append(Callee(name, "", params))

    def _yielding(self, name: str, value: str) -> list[str]:
        rng = self.rng
        if self.chance(0.25):
            return [f"yield {value}", f"at('{name} exit')"]
        lines = ["try:", f"    yield {value}"]
        caught = rng.choice(["Exception", "Exception", "HTTPException", "CustomError", "ValueError", "BaseException"])
        if self.chance(0.6):
            lines += [f"except {caught} as error:", f"    LOG.append('{name} saw ' + describe(error)[0])"]
            outcome = rng.randrange(8)
            if outcome < 4:
                lines.append("    raise")
            elif outcome == 4:
                lines.append("    raise HTTPException(418, f'from {type(error).__name__}')")
            elif outcome == 5:
                lines.append("    raise CustomError('replaced') from error")
            elif outcome == 6:
                lines.append("    raise CustomError('replaced') from None")
            elif self.chance(0.5):
                lines.append("    raise ExceptionGroup('both', [HTTPException(418), CustomError('new')]) from error")
        if self.chance(0.03):
            lines += ["finally:", f"    at('{name} exit')", "yield 'again'"]
        elif self.chance(0.7) or len(lines) == 2:
            lines += ["finally:", f"    at('{name} exit')"]
        else:
            lines += ["else:", f"    at('{name} exit')"]
        return lines

    def _callable(self, name: str, style: str, signature: str, lines: list[str], is_async: bool) -> str:
        prefix = "async def" if is_async else "def"
        body = "\n".join("    " + line for line in lines)
        deeper = "\n".join("        " + line for line in lines)
        with_self = f"self, {signature}" if signature else "self"
        shown = f"    def __repr__(self) -> str:\n        return {name!r}"
        match style:
            case "class":
                return f"class {name}:\n    def __init__({with_self}):\n{deeper}\n\n{shown}"
            case "instance" | "async instance" | "gen instance":
                return f"class Of{name}:\n    {prefix} __call__({with_self}):\n{deeper}\n\n\n{name} = Of{name}()"
            case "method":
                return f"class Of{name}:\n    {prefix} method({with_self}):\n{deeper}\n\n\n{name} = Of{name}().method"
            case "partial":
                extra = "extra: str = 'e'"
                joined = f"{signature}, {extra}" if signature else extra
                return (
                    f"{prefix} base_{name}({joined}):\n{body}\n\n\n{name} = functools.partial(base_{name}, extra='p')"
                )
            case "wrapped":
                wrapper = self.rng.choice(["wrapped", "wrapped_async"])
                return f"@{wrapper}\ndef {name}({signature}):\n{body}"
        return f"{prefix} {name}({signature}):\n{body}"

    # The application and its routers

    def _level(self, params: list[Param], points: list[str]) -> str:
        """Draw dependencies of a router or an application, as an argument."""
        if not self.callees or not self.chance(0.25):
            return ""
        drawn = self.rng.sample(self.callees, min(len(self.callees), self.rng.choice([1, 1, 2])))
        for each in drawn:
            params += each.params
            points += each.points
        return f"dependencies=[{', '.join(self._depends(each) for each in drawn)}]"

    def _application(self) -> str:
        self.app_params: list[Param] = []
        self.app_points: list[str] = []
        options = [self._level(self.app_params, self.app_points), *self._limits()]
        if self.chance(0.15):
            options.append("strict_content_type=False")
        if self.chance(0.05):
            options.append("default_response_class=Plain")
        if self.chance(0.05):
            options.append("separate_input_output_schemas=False")
        return f"app = FastAPI({', '.join(filter(None, options))})"

    def _routers(self) -> list[Operation]:
        rng = self.rng
        operations: list[Operation] = []
        routers = [("app", "", list(self.app_params), list(self.app_points), "")]
        for index in range(rng.choice([0, 0, 1, 1, 2])):
            parent = rng.choice(routers)
            params, points = list(parent[2]), list(parent[3])
            options = [self._level(params, points), *self._limits()]
            prefix = rng.choice(["", "/r", "/r{index}", "/{a}"]).replace("{index}", str(index))
            if prefix == "/{a}" and prefix in parent[1]:
                prefix = ""  # Twice the same name: FastAPI says so at the first request, forzium at once.
            if prefix:
                options.append(f"prefix={prefix!r}")
            if self.chance(0.1):
                options.append("strict_content_type=False")
            if self.chance(0.2):
                options.append("tags=['t']")
            if self.chance(0.08):
                options.append(f"route_class={rng.choice(['Noting', 'Rereading'])}")
            if self.chance(0.05):
                options.append("default_response_class=Plain")
            if self.chance(0.1):
                options.append("responses={404: {'description': 'none'}}")
            name = f"router{index}"
            self.parts.append(f"{name} = APIRouter({', '.join(filter(None, options))})")
            including = [name, self._level(params, points), *self._limits()]
            at = "/v" if self.chance(0.3) or not prefix else ""
            if at:
                including.append(f"prefix={at!r}")
            include = f"{parent[0]}.include_router({', '.join(filter(None, including))})"
            # Included before its operations stand on it, or after.
            if self.chance(0.3):
                self.parts.append(include)
                include = ""
            if include and self.chance(0.1):
                include += f"\n{parent[0]}.include_router({name}, prefix='/again', tags=['again'])"
            routers.append((name, parent[1] + at + prefix, params, points, include))
        for index in range(rng.choice([1, 1, 2, 3])):
            name, prefix, params, points, _ = rng.choice(routers)
            operations.append(self._operation(index, name, prefix, params, points))
        self.parts += [include for *_, include in reversed(routers) if include]
        return operations

    def _operation(
        self, index: int, router: str, prefix: str, outer: list[Param], outer_points: list[str]
    ) -> Operation:
        rng = self.rng
        name = f"operation{index}"
        params = self._params(4, set(), endpoint=True)
        path = f"/o{index}" if self.chance(0.9) else rng.choice(["", "/", f"/o{index}/"])
        if not prefix and not path:
            path = f"/o{index}"
        for at, each in enumerate(params):
            if each.place != "body" and f"{{{each.name}}}" not in prefix and self.chance(0.15):
                params[at] = d.draw_param(rng, each.name, "path", [])
                convertor = rng.choice(["", "", "", ":int", ":path", ":float", ":uuid"]) if self.chance(0.2) else ""
                path += f"/{{{each.name}{convertor}}}"
        points = [*outer_points, name]
        known = [*outer, *params]
        own = [each.source for each in params]
        own += self._needs(3, known, points)
        specials = self._specials()
        if "background: BackgroundTasks" in specials:
            points.append(f"task {name}")
        is_async = self.chance(0.6)
        options = [repr(path), self._level(known, points)]
        options += [*self._operation_options(rng), *self._limits()]
        lines = self._body(name, own, specials, awaits=is_async)
        if all(each.place not in ("body", "form", "file") for each in known) and self.chance(0.12):
            self._socket(f"@{router}.websocket({', '.join(filter(None, options[:2]))})", name, own, lines)
            self.all_points += points
            return Operation("WEBSOCKET", prefix + path, known, points, "none")
        answer, declared, returns = answers.draw(rng, name, params, points, self.models, is_async=is_async)
        lines.append(answer)
        if declared:
            options.append(declared)
        wants_body = any(each.place in ("body", "form", "file") for each in known)
        method = (
            rng.choice(["post", "post", "put", "patch", "delete"]) if wants_body else rng.choice(["get", "get", "post"])
        )
        if self.chance(0.03):
            method = "get"
        decorator = f"@{router}.{method}({', '.join(filter(None, options))})"
        if self.chance(0.05):
            options.append("methods=['GET', 'POST']")
            decorator = f"@{router}.api_route({', '.join(filter(None, options))})"
            method = rng.choice(["get", "post"])
        prefix_ = "async def" if is_async else "def"
        body = "\n".join("    " + line for line in lines)
        signature = d.signature([*own, *specials])
        self.parts.append(self._endpoint(name, decorator, prefix_, signature, f"{returns}:\n{body}"))
        self.all_points += points
        return Operation(method.upper(), prefix + path, known, points, self.style)

    def _endpoint(self, name: str, decorator: str, prefix: str, signature: str, rest: str) -> str:
        """The definition of an endpoint, which now and then is no plain function."""
        shape = self.rng.choice(["instance", "method", "partial", "wrapped", "twice"]) if self.chance(0.15) else "plain"
        plain = f"{prefix} {name}({signature}){rest}"
        if shape in ("instance", "method"):
            inner = f"{prefix} {'__call__' if shape == 'instance' else 'method'}({_after('self', signature)}){rest}"
            made = f"Of{name}()" if shape == "instance" else f"Of{name}().method"
            deeper = inner.replace("\n", "\n    ")
            return f"class Of{name}:\n    {deeper}\n\n\n{name} = {made}\n{decorator[1:]}({name})"
        if shape == "partial":
            whole = f"{prefix} base_{name}({_after('extra', signature)}){rest}"
            return f"{whole}\n\n\n{name} = functools.partial(base_{name}, 'given')\n{decorator[1:]}({name})"
        if shape == "wrapped":
            return f"{decorator}\n@{self.rng.choice(['wrapped', 'wrapped_async'])}\n{plain}"
        if shape == "twice":
            return f"{decorator}\n@app.post('/twice/{name}', include_in_schema=False)\n{plain}"
        return f"{decorator}\n{plain}"

    def _socket(self, decorator: str, name: str, own: list[str], lines: list[str]) -> None:
        injected = ("request", "response", "background", "connection", "scopes")
        lines = [line for line in lines if not any(word in line for word in injected)]
        lines += ["await websocket.accept(headers=[(b'x-own', b'1')])", "await websocket.send_json({'n': len(LOG)})"]
        lines.append(f"note('{name} heard', it=await websocket.receive_text())")
        lines.append(f"at('{name} late')")
        lines += self.rng.choice([["await websocket.close(1001, 'done')"], [], ["await websocket.receive_json()"]])
        body = "\n".join("    " + line for line in lines)
        signature = d.signature(["websocket: WebSocket", *own])
        self.parts.append(f"{decorator}\nasync def {name}({signature}):\n{body}")

    def _limits(self) -> list[str]:
        """Draw limits of forms and bodies, as arguments; most applications have none."""
        if self.style not in ("form", "files"):
            return []
        options = []
        if self.chance(0.1):
            choices = {
                "max_fields": [0, 1, 2, 3, 1000],
                "max_files": [0, 1, 2],
                "max_part_size": [0, 3, 20, 1023, 5000],
            }
            names = self.rng.sample(list(choices), self.rng.choice([1, 1, 2, 3]))
            options.append(f"form_limits={ {name: self.rng.choice(choices[name]) for name in names}!r}")
        if self.chance(0.04):
            options.append(f"max_body_size={self.rng.choice([0, 1, 50, 200, 1000, 5000])}")
        return options

    def _operation_options(self, rng: Random) -> list[str]:
        options = []
        if self.chance(0.2):
            options.append(f"status_code={rng.choice([200, 201, 202, 204, 205, 304, 400, 418, 500])}")
        if self.chance(0.05):
            options.append(f"deprecated=True, summary='Sum', operation_id='own{rng.randrange(10**6)}'")
        if self.chance(0.03):
            options.append("include_in_schema=False")
        if self.chance(0.05):
            options.append("openapi_extra={'x-extra': [1]}")
        return options

    # Around it

    def _handlers(self) -> None:
        rng = self.rng
        if self.chance(0.06):
            around = "LOG.append('before')\n    answer = await call_next(request)\n    LOG.append('after')\n    return answer"
            self.parts.append(f"@app.middleware('http')\nasync def around(request, call_next):\n    {around}")
        classes = [
            *("CustomError", "CustomError", "HTTPException", "StarletteHTTPException", "RequestValidationError"),
            *("ResponseValidationError", "Exception", "ValueError", "404", "418", "500", "Subclassed"),
        ]
        for index, handled in enumerate(rng.sample(classes, rng.choice([0, 0, 1, 1, 2]))):
            prefix = rng.choice(["async def", "async def", "def"])
            lines = [f"@app.exception_handler({handled})", f"{prefix} handler{index}(request, error):"]
            lines.append(f"    note('handler{index}', error=describe(error)[0], own=isinstance(error, HTTPException))")
            if handled == "RequestValidationError":
                lines.append("    note('body', it=error.body)")
                lines.append("    return JSONResponse({'errors': jsonable_encoder(error.errors())}, status_code=422)")
            else:
                lines.append(f"    at('handler{index}')")
                lines.append(f"    return JSONResponse({{'handled': {handled!r}}}, status_code=499)")
            self.parts.append("\n".join(lines))
            self.all_points.append(f"handler{index}")

    def _changes(self) -> list[str]:
        changes = [
            "app.dependency_overrides.clear()",
            "app.add_api_route('/late', operation0, methods=['GET', 'POST'])",
        ]
        # Several names may stand for the same odd thing.
        targets = [at for at, callee in enumerate(self.callees) if callee.name not in self.odd]
        if targets:
            for index in range(self.rng.choice([0, 1, 2])):
                # It may need what was there before the overridden one: else it would, in the end, need itself.
                target = self.rng.choice(targets)
                own = [each.source for each in self._params(1, set(), endpoint=False)]
                own += self._needs(1, [], [], self.callees[:target])
                lines = self._body(f"override{index}", own, [], awaits=False)
                last = "yield" if self.chance(0.3) else "return"
                lines.append(f"{last} 'overridden'")
                body = "\n".join("    " + line for line in lines)
                self.parts.append(f"def override{index}({d.signature(own)}):\n{body}")
                changes.append(f"app.dependency_overrides[{self.callees[target].name}] = override{index}")
        return changes


def _after(first: str, signature: str) -> str:
    return f"{first}, {signature}" if signature else first


def draw(rng: Random) -> Application:
    """Draw an application."""
    return Writer(rng).draw()
