"""Declarations, each a function that adds something to an application; the OpenAPI tests build applications of them.

Every one uses paths, names and models of its own, so that any number of them fit into one application. No
``from __future__ import annotations`` here: annotations name locals.
"""

import dataclasses
import datetime
import decimal
import enum
import ipaddress
import pathlib
import uuid
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from typing import Annotated, Any, Generic, Literal, Optional, TypeVar, Union

import pydantic
import typing_extensions
from pydantic import BaseModel, Field

from conformance.harness import Framework

Declaration = Callable[[Framework, Any], None]
DECLARATIONS: list[Declaration] = []

T = TypeVar("T")


def declaration(function: Declaration) -> Declaration:
    DECLARATIONS.append(function)
    return function


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Owner(BaseModel):
    """Who owns something.\f Not for the public."""

    name: str
    email: str | None = None


class Node(BaseModel):
    value: int
    children: list["Node"] = []


class Page(BaseModel, Generic[T]):
    items: list[T]
    total: int


# --- Parameters


@declaration
def nothing(fw: Framework, app: Any) -> None:
    @app.get("/nothing")
    def read_nothing():
        """Read nothing.

        In two paragraphs.\f And a secret.
        """


@declaration
def path_parameters(fw: Framework, app: Any) -> None:
    @app.get("/path/{number}/{text}/{file:path}")
    def read_path(number: Annotated[int, fw.Path(title="Number", ge=1, le=10)], text: str, file: str): ...


@declaration
def query_parameters(fw: Framework, app: Any) -> None:
    @app.get("/query")
    def read_query(
        required: str,
        number: int = 3,
        maybe: str | None = None,
        many: Annotated[list[int], fw.Query(description="Many", min_length=1)] = [1],
        flag: bool = False,
        old: Annotated[str, fw.Query(deprecated=True)] = "x",
        renamed: Annotated[str, fw.Query(alias="re-named", pattern="^a+$", max_length=5)] = "a",
        hidden: Annotated[str, fw.Query(include_in_schema=False)] = "",
    ): ...


@declaration
def headers_and_cookies(fw: Framework, app: Any) -> None:
    @app.get("/headers")
    def read_headers(
        user_agent: Annotated[str | None, fw.Header()] = None,
        strange_name: Annotated[str | None, fw.Header(convert_underscores=False)] = None,
        x_tokens: Annotated[list[str], fw.Header()] = [],
        session: Annotated[str | None, fw.Cookie(description="The session")] = None,
        ads_id: str = fw.Cookie(default="none", alias="ads"),
    ): ...


@declaration
def numbers_with_bounds(fw: Framework, app: Any) -> None:
    @app.get("/bounds")
    def read_bounds(
        a: Annotated[float, fw.Query(gt=0, lt=1.5)],
        b: Annotated[int, fw.Query(multiple_of=5)] = 10,
        c: Annotated[decimal.Decimal, fw.Query(max_digits=5, decimal_places=2)] = decimal.Decimal("1.5"),
    ): ...


@declaration
def special_types(fw: Framework, app: Any) -> None:
    @app.get("/types/{id}")
    def read_types(
        id: uuid.UUID,
        day: datetime.date,
        at: datetime.datetime | None = None,
        how_long: datetime.timedelta = datetime.timedelta(seconds=5),
        time: datetime.time | None = None,
        ip: ipaddress.IPv4Address | None = None,
        file: pathlib.Path | None = None,
        url: pydantic.AnyUrl | None = None,
        raw: bytes = b"x",
        amount: decimal.Decimal = decimal.Decimal("0"),
    ): ...


@declaration
def enums_and_literals(fw: Framework, app: Any) -> None:
    @app.get("/enums/{color}")
    def read_enums(
        color: Color,
        level: Level = Level.LOW,
        colors: Annotated[list[Color], fw.Query()] = [Color.RED],
        kind: Literal["a", "b"] = "a",
        single: Literal["only"] = "only",
    ): ...


@declaration
def unions_in_parameters(fw: Framework, app: Any) -> None:
    @app.get("/unions")
    def read_unions(
        a: int | str,
        b: Union[int, float, None] = None,
        c: Annotated[set[int] | None, fw.Query()] = None,
        d: Annotated[tuple[int, str] | None, fw.Query()] = None,
    ): ...


@declaration
def models_as_parameters(fw: Framework, app: Any) -> None:
    class Filter(BaseModel):
        model_config = {"extra": "forbid"}
        limit: int = Field(100, gt=0, le=100, description="How many")
        order_by: Literal["created", "updated"] = "created"
        tags: list[str] = []
        needed: str

    class CommonHeaders(BaseModel):
        host_name: str
        if_modified_since: str | None = None
        x_tag: list[str] = []

    class Cookies(BaseModel):
        session_id: str
        tracker: str | None = Field(None, alias="trk", examples=["a"])

    @app.get("/parameter-models")
    def read_models(
        q: Annotated[Filter, fw.Query()],
        h: Annotated[CommonHeaders, fw.Header()],
        c: Annotated[Cookies, fw.Cookie()],
    ): ...

    @app.get("/parameter-models/plain-headers")
    def read_plain(h: Annotated[CommonHeaders, fw.Header(convert_underscores=False)]): ...

    @app.get("/parameter-models/optional")
    def read_optional(q: Annotated[Filter | None, fw.Query()] = None): ...


@declaration
def examples_of_parameters(fw: Framework, app: Any) -> None:
    named = {
        "one": {"summary": "One", "value": "1", "description": None},
        "nothing": {"value": None},
        "else": {"externalValue": "https://example.com/e"},
    }

    @app.get("/examples/{a}")
    def read_examples(
        a: Annotated[str, fw.Path(openapi_examples=named)],
        b: Annotated[str, fw.Query(examples=["x", "y"])] = "",
        c: Annotated[str | None, fw.Header(openapi_examples={"h": {"value": {"deep": None, "_sa": 1}}})] = None,
    ): ...


@declaration
def aliases(fw: Framework, app: Any) -> None:
    @app.get("/aliases/{path_name}")
    def read_aliases(
        p: Annotated[str, fw.Path(alias="path_name")],
        a: Annotated[str, fw.Query(validation_alias="aVal")],
        b: Annotated[str, fw.Query(alias="bAlias", validation_alias="bVal")] = "",
        c: Annotated[str, fw.Query(validation_alias=pydantic.AliasChoices("c1", "c2"))] = "",
        d: Annotated[str, fw.Header(serialization_alias="dOut")] = "",
    ): ...


@declaration
def json_schema_extra(fw: Framework, app: Any) -> None:
    @app.get("/extra")
    def read_extra(
        a: Annotated[str, fw.Query(json_schema_extra={"x-thing": {"b": 1, "a": None}})] = "a",
        b: Annotated[int, Field(json_schema_extra={"example": 5}), fw.Query()] = 1,
        c: Annotated[int, fw.Query(strict=True, title="Strict")] = 1,
    ): ...


# --- Bodies


@declaration
def body_model(fw: Framework, app: Any) -> None:
    class Item(BaseModel):
        name: str = Field(max_length=30, examples=["Foo"])
        description: str | None = Field(default=None, title="What it is")
        price: float = Field(gt=0)
        tags: set[str] = set()
        owner: Owner | None = None

    @app.post("/items")
    def create_item(item: Item): ...

    @app.put("/items/{item_id}")
    def update_item(item_id: int, item: Annotated[Item, fw.Body(embed=True)], q: str | None = None): ...


@declaration
def several_bodies(fw: Framework, app: Any) -> None:
    class First(BaseModel):
        a: int

    class Second(BaseModel):
        b: int = 0

    @app.post("/several")
    def post_several(first: First, second: Second | None = None, importance: Annotated[int, fw.Body(gt=0)] = 1): ...


@declaration
def plain_bodies(fw: Framework, app: Any) -> None:
    @app.post("/plain/list")
    def post_list(values: list[int]): ...

    @app.post("/plain/dict")
    def post_dict(values: dict[int, float]): ...

    @app.post("/plain/any")
    def post_any(value: Annotated[Any, fw.Body()] = None): ...

    @app.post("/plain/text")
    def post_text(value: Annotated[str, fw.Body(media_type="text/plain", description="Text")]): ...

    @app.post("/plain/optional")
    def post_optional(value: list[Owner] | None = None): ...


@declaration
def body_examples(fw: Framework, app: Any) -> None:
    class Exemplary(BaseModel):
        model_config = {"json_schema_extra": {"examples": [{"name": "Foo", "none": None}]}}
        name: str

    @app.post("/body-examples")
    def post_examples(item: Annotated[Exemplary, fw.Body(examples=[{"name": "Bar"}])]): ...

    @app.post("/body-examples/open")
    def post_open(
        item: Annotated[
            Exemplary,
            fw.Body(openapi_examples={"a": {"summary": "A", "value": {"name": "x", "deep": [None, {"n": None}]}}}),
        ],
    ): ...


@declaration
def unions_in_bodies(fw: Framework, app: Any) -> None:
    class Cat(BaseModel):
        kind: Literal["cat"]
        lives: int = 9

    class Dog(BaseModel):
        kind: Literal["dog"]
        tricks: list[str] = []

    @app.post("/pets")
    def post_pet(pet: Cat | Dog) -> Cat | Dog: ...

    @app.post("/pets/discriminated")
    def post_discriminated(pet: Annotated[Cat | Dog, Field(discriminator="kind")]): ...

    @app.post("/pets/many", response_model=list[Annotated[Union[Cat, Dog], Field(discriminator="kind")]])
    def post_many(pets: dict[str, Annotated[Cat | Dog, fw.Body(discriminator="kind")]]): ...


@declaration
def recursive_models(fw: Framework, app: Any) -> None:
    @app.post("/trees", response_model=Node)
    def post_tree(tree: Node, forest: list[Node] = []): ...


@declaration
def generic_models(fw: Framework, app: Any) -> None:
    @app.get("/pages/owners", response_model=Page[Owner])
    def read_owner_page(): ...

    @app.get("/pages/ints")
    def read_int_page() -> Page[int]: ...

    @app.post("/pages/nested")
    def post_page(page: Page[Page[Owner]]) -> Page[Page[int]]: ...


@declaration
def dataclasses_and_typed_dicts(fw: Framework, app: Any) -> None:
    @dataclasses.dataclass
    class Point:
        x: int
        y: int = 0
        notes: list[str] = dataclasses.field(default_factory=list)

    class Movie(typing_extensions.TypedDict, total=False):
        title: typing_extensions.Required[str]
        year: int

    @app.post("/points", response_model=list[Point])
    def post_point(point: Point): ...

    @app.post("/movies")
    def post_movie(movie: Annotated[Movie, fw.Body()]) -> Movie: ...


@declaration
def fields_of_models(fw: Framework, app: Any) -> None:
    class Everything(BaseModel):
        """All kinds of fields."""

        model_config = {"title": "All of it", "populate_by_name": True}

        id: uuid.UUID = Field(default_factory=uuid.uuid4)
        at: datetime.datetime
        either: int | None
        nested: dict[str, list[Owner]]
        pair: tuple[int, str]
        many: tuple[int, ...] = ()
        level: Level = Level.HIGH
        frozen: frozenset[Color] = frozenset()
        aliased: str = Field("a", alias="anAlias")
        out: str = Field("a", serialization_alias="goingOut")
        old: str = Field("a", deprecated=True)
        secret: pydantic.SecretStr
        raw: bytes = b""
        bounded: pydantic.conint(gt=1, lt=5) = 2  # type: ignore[valid-type]
        text: pydantic.constr(pattern="^a") = "a"  # type: ignore[valid-type]
        words: pydantic.conlist(str, min_length=1, max_length=3) = ["a"]  # type: ignore[valid-type]
        amount: decimal.Decimal = decimal.Decimal("1.50")
        anything: Any = None
        constant: Literal[1] = 1
        json_text: pydantic.Json[list[int]] = "[1]"
        url: pydantic.HttpUrl = "https://example.com"
        email: pydantic.EmailStr = "a@example.com"

    @app.post("/everything", response_model=Everything)
    def post_everything(value: Everything): ...


@declaration
def forms(fw: Framework, app: Any) -> None:
    class Login(BaseModel):
        model_config = {"extra": "forbid"}
        username: str
        password: str = Field(min_length=8)

    @app.post("/forms/login")
    def login(form: Annotated[Login, fw.Form()]): ...

    @app.post("/forms/fields")
    def post_fields(
        a: Annotated[str, fw.Form()],
        b: Annotated[list[int], fw.Form()] = [],
        c: Annotated[int | None, fw.Form(alias="cC", description="C")] = None,
    ): ...


@declaration
def files(fw: Framework, app: Any) -> None:
    @app.post("/files/bytes")
    def post_bytes(file: Annotated[bytes, fw.File(description="A file")]): ...

    @app.post("/files/upload")
    def post_upload(file: fw.UploadFile): ...

    @app.post("/files/many")
    def post_files(files: list[fw.UploadFile], token: Annotated[str, fw.Form()] = ""): ...

    @app.post("/files/optional")
    def post_optional_file(
        file: fw.UploadFile | None = None, raws: Annotated[list[bytes] | None, fw.File()] = None
    ): ...


@declaration
def input_unlike_output(fw: Framework, app: Any) -> None:
    class Sub(BaseModel):
        count: int = 0

        @pydantic.computed_field
        @property
        def double(self) -> int:
            return 2 * self.count

    class Account(BaseModel):
        name: str
        nickname: str | None = None
        sub: Sub = Sub()

    class Flat(BaseModel):
        label: str

    @app.post("/accounts")
    def post_account(account: Account) -> Account: ...

    @app.post("/accounts/many", response_model=list[Account])
    def post_accounts(accounts: list[Account], flat: Flat) -> Any: ...

    @app.get("/accounts/flat", response_model=Flat)
    def read_flat(): ...


# --- Responses


@declaration
def response_models(fw: Framework, app: Any) -> None:
    class Public(BaseModel):
        id: int

    class Private(Public):
        password: str

    @app.get("/response/annotated")
    def read_annotated() -> list[Public]: ...

    @app.get("/response/overridden", response_model=Public)
    def read_overridden() -> Private: ...

    @app.get("/response/none", response_model=None)
    def read_none() -> dict[str, int]: ...

    @app.get("/response/union")
    def read_union() -> Public | dict[str, int] | None: ...

    @app.get("/response/filtered", response_model=Private, response_model_exclude={"password"})
    def read_filtered(): ...

    @app.get("/response/scalar")
    def read_scalar() -> int: ...


@declaration
def status_codes(fw: Framework, app: Any) -> None:
    @app.post("/status/created", status_code=201, response_description="It is there")
    def create(): ...

    @app.delete("/status/gone", status_code=204)
    def delete(): ...

    @app.get("/status/enum", status_code=fw.status.HTTP_202_ACCEPTED)
    def accept(): ...


@declaration
def response_classes(fw: Framework, app: Any) -> None:
    from_module = fw.module("responses")

    class Xml(from_module.Response):
        media_type = "application/xml"

    class NoMediaType(from_module.Response):
        media_type = None

    class Created(from_module.JSONResponse):
        def __init__(self, content: Any, status_code: int = 201) -> None:
            super().__init__(content, status_code)

    class Vendor(from_module.JSONResponse):
        media_type = "application/vnd.api+json"

    for cls in (
        from_module.HTMLResponse,
        from_module.PlainTextResponse,
        from_module.RedirectResponse,
        from_module.StreamingResponse,
        from_module.FileResponse,
        from_module.Response,
        Xml,
        NoMediaType,
        Created,
        Vendor,
    ):

        @app.get(f"/class/{cls.__name__}", response_class=cls, name=cls.__name__)
        def read_class(): ...

    @app.get("/class-annotated")
    def read_annotated_class() -> from_module.PlainTextResponse: ...


@declaration
def additional_responses(fw: Framework, app: Any) -> None:
    class Message(BaseModel):
        message: str

    @app.get(
        "/additional/{x}",
        response_model=Owner,
        responses={
            404: {"model": Message},
            "5XX": {"model": list[Message], "description": "Broken"},
            "default": {"description": "Anything"},
            302: {"description": "Moved", "headers": {"location": {"schema": {"type": "string"}}}},
            200: {"content": {"image/png": {}}, "description": "An owner or a picture"},
            418: {},
            499: {},
        },
    )
    def read_additional(x: int): ...

    @app.get("/additional-422/{x}", responses={422: {"description": "Mine", "model": Message}})
    def read_own_422(x: int): ...

    @app.get("/additional-4xx/{x}", responses={"4XX": {"description": "All mine"}})
    def read_own_4xx(x: int): ...

    @app.get(
        "/additional-text", response_class=fw.module("responses").PlainTextResponse, responses={400: {"model": Message}}
    )
    def read_text(): ...


@declaration
def streams(fw: Framework, app: Any) -> None:
    class Tick(BaseModel):
        at: int
        what: str | None = None

    @app.get("/stream/lines")
    async def stream_lines() -> AsyncIterable[Tick]:
        yield Tick(at=1)

    @app.get("/stream/sync")
    def stream_sync() -> Iterable[dict[str, int]]:
        yield {}

    @app.get("/stream/untyped")
    async def stream_untyped():
        yield 1

    @app.get("/stream/events", response_class=fw.module("sse").EventSourceResponse)
    async def stream_events() -> AsyncIterable[Tick]:
        yield Tick(at=1)

    @app.get("/stream/raw-events", response_class=fw.module("sse").EventSourceResponse)
    async def stream_raw():
        yield fw.module("sse").ServerSentEvent(data=1)


# --- Operations


@declaration
def metadata_of_operations(fw: Framework, app: Any) -> None:
    class Tags(enum.Enum):
        items = "items"

    @app.get(
        "/described",
        tags=["a", "b"],
        summary="A summary",
        description="A **description**",
        deprecated=True,
        operation_id="readTheDescribed",
        name="named",
    )
    def read_described():
        """Not this."""

    @app.get("/tagged", tags=[Tags.items, "x"])
    def read_tagged(): ...

    @app.get("/hidden", include_in_schema=False)
    def read_hidden(owner: Owner): ...


@declaration
def openapi_extra(fw: Framework, app: Any) -> None:
    extra = {
        "x-code-samples": [{"lang": "sh", "source": None}],
        "parameters": [{"in": "header", "name": "x-more", "schema": {"type": "string"}}],
        "requestBody": {"content": {"application/yaml": {"schema": Owner.model_json_schema()}}, "required": True},
        "responses": {"200": {"x-note": "noted"}},
    }

    @app.post("/extra-operation", openapi_extra=extra)
    def post_extra(q: int = 1): ...

    @app.api_route("/extra-methods", methods=["GET"], openapi_extra=extra)
    def read_extra_methods(owner: Owner, q: int = 1): ...


@declaration
def odd_extras(fw: Framework, app: Any) -> None:
    @app.get("/odd", openapi_extra={"security": "not a list", "x": {"_sa_thing": 1, "none": None}})
    def read_odd(): ...

    @app.get("/odd/response", responses={200: {"headers": "wrong", "content": {"text/html": {"schema": 5}}}})
    def read_odd_response(): ...


@declaration
def all_methods(fw: Framework, app: Any) -> None:
    for method in ("get", "put", "post", "delete", "options", "head", "patch", "trace"):

        @getattr(app, method)("/methods", name=f"{method}_it")
        def operate(owner: Owner | None = None): ...


@declaration
def callbacks(fw: Framework, app: Any) -> None:
    class Event(BaseModel):
        name: str

    class Received(BaseModel):
        ok: bool

    router = fw.APIRouter()

    @router.post("{$callback_url}/events/{$request.body.id}", response_model=Received)
    def notify(body: Event): ...

    @app.post("/invoices", callbacks=router.routes)
    def create_invoice(owner: Owner, callback_url: pydantic.HttpUrl | None = None): ...


@declaration
def webhooks(fw: Framework, app: Any) -> None:
    class Subscription(BaseModel):
        username: str
        monthly_fee: float

    @app.webhooks.post("new-subscription")
    def new_subscription(body: Subscription):
        """Somebody subscribed."""

    @app.webhooks.get("health", tags=["hooks"])
    def health(q: int = 1) -> Owner: ...


@declaration
def unique_ids(fw: Framework, app: Any) -> None:
    router = fw.APIRouter(prefix="/ids", generate_unique_id_function=lambda route: f"router-{route.name}")

    @router.get("/a")
    def read_id_a(): ...

    @router.post("/b", generate_unique_id_function=lambda route: f"own-{route.name}")
    def post_id_b(a: Annotated[int, fw.Body()], b: Annotated[int, fw.Body()]): ...

    app.include_router(router)


@declaration
def routers(fw: Framework, app: Any) -> None:
    leaf = fw.APIRouter(tags=["leaf"], responses={404: {"description": "No leaf"}})
    branch = fw.APIRouter(prefix="/branch", tags=["branch"], dependencies=[fw.Depends(lambda x_branch=None: None)])

    @leaf.get("/leaf/{leaf_id}")
    def read_leaf(leaf_id: int) -> Owner: ...

    @leaf.get("/old", deprecated=False)
    def read_old(): ...

    branch.include_router(leaf, prefix="/deep", deprecated=True, responses={410: {"model": Owner}})
    app.include_router(branch, prefix="/tree", tags=["tree"])
    app.include_router(leaf, prefix="/alone")
    app.include_router(leaf, prefix="/unseen", include_in_schema=False)


@declaration
def what_is_no_operation(fw: Framework, app: Any) -> None:
    @app.websocket("/ws")
    async def ws(websocket: fw.WebSocket): ...

    app.mount("/mounted", fw.FastAPI())
    app.add_route("/plain-route", lambda request: None)

    @app.get("/injected")
    def read_injected(request: fw.Request, response: fw.Response, tasks: fw.BackgroundTasks): ...


# --- Dependencies and security


@declaration
def dependencies(fw: Framework, app: Any) -> None:
    def paging(skip: int = 0, limit: Annotated[int, fw.Query(le=100)] = 10): ...

    def tenant(x_tenant: Annotated[str, fw.Header()], skip: int = 5): ...

    class Checker:
        def __call__(self, check: bool = False, owner: Owner | None = None): ...

    def needs_limit(limit: int): ...

    @app.get("/dependencies", dependencies=[fw.Depends(tenant), fw.Depends(Checker())])
    def read_dependencies(page=fw.Depends(paging), again=fw.Depends(paging), more=fw.Depends(needs_limit)): ...

    @app.post("/dependencies/bodies")
    def post_bodies(owner: Owner, check=fw.Depends(Checker())): ...


@declaration
def api_keys(fw: Framework, app: Any) -> None:
    security = fw.module("security")
    for scheme in (
        security.APIKeyQuery(name="key"),
        security.APIKeyHeader(name="X-Key", description="A key", scheme_name="Other Name"),
        security.APIKeyCookie(name="key", auto_error=False),
    ):

        @app.get(f"/keys/{scheme.scheme_name}", name=type(scheme).__name__)
        def read_key(key=fw.Security(scheme)): ...


@declaration
def http_schemes(fw: Framework, app: Any) -> None:
    security = fw.module("security")
    for scheme in (
        security.HTTPBasic(realm="here"),
        security.HTTPBearer(bearerFormat="JWT", description="A token"),
        security.HTTPDigest(),
        security.http.HTTPBase(scheme="Other"),
        security.OpenIdConnect(openIdConnectUrl="/openid"),
    ):

        @app.get(f"/http/{scheme.scheme_name}", name=type(scheme).__name__)
        def read_http(credentials: Annotated[Any, fw.Security(scheme)]): ...


@declaration
def oauth2(fw: Framework, app: Any) -> None:
    security = fw.module("security")
    password = security.OAuth2PasswordBearer("token", scopes={"me": "Me", "items": "Items"}, refreshUrl="again")
    code = security.OAuth2AuthorizationCodeBearer("auth", "token", description="Code")
    flows = security.OAuth2(
        flows={
            "implicit": {"authorizationUrl": "a", "scopes": {"x": "X"}},
            "clientCredentials": {"tokenUrl": "t", "x-extra": 1},
        },
        scheme_name="flows",
    )
    empty = security.OAuth2(scheme_name="empty")

    def current(scopes: security.SecurityScopes, token: Annotated[str, fw.Depends(password)]): ...

    def active(user: Annotated[Any, fw.Security(current, scopes=["me"])]): ...

    @app.get("/oauth/me")
    def read_me(user: Annotated[Any, fw.Depends(active)]): ...

    @app.get("/oauth/items", dependencies=[fw.Security(current, scopes=["admin"])])
    def read_own(user: Annotated[Any, fw.Security(active, scopes=["items", "me"])]): ...

    @app.get("/oauth/code")
    def read_code(a=fw.Security(code, scopes=["c"]), b=fw.Security(flows), c=fw.Security(empty)): ...

    @app.post("/oauth/token")
    def post_token(form: Annotated[security.OAuth2PasswordRequestForm, fw.Depends()]): ...

    @app.post("/oauth/strict")
    def post_strict(form: Annotated[security.OAuth2PasswordRequestFormStrict, fw.Depends()]): ...


# --- Schemas that are hard to name or to write


def _model_named(name: str, module: str, **fields: Any) -> Any:
    return pydantic.create_model(name, __module__=module, **fields)


@declaration
def one_name_in_two_modules(fw: Framework, app: Any) -> None:
    first = _model_named("Clash", "one", a=(int, ...))
    second = _model_named("Clash", "two", b=(int, 0), first=(first, ...))
    third = _model_named("Clash", "one", c=(str, ""))  # the same module, too

    @app.post("/clash/1", response_model=second)
    def post_first(value: first): ...

    @app.post("/clash/2", response_model=first)
    def post_second(value: second): ...

    @app.post("/clash/3", response_model=third)
    def post_third(value: list[third]): ...


@declaration
def twins(fw: Framework, app: Any) -> None:
    """Two classes with one name and one schema; and what holds them."""
    left = _model_named("Twin", "left", a=(int, ...))
    right = _model_named("Twin", "right", a=(int, ...))
    left_holder = _model_named("Holder", "left", twin=(left, ...))
    right_holder = _model_named("Holder", "right", twin=(right, ...))

    @app.post("/twins/1", response_model=left)
    def post_left(value: left_holder): ...

    @app.post("/twins/2", response_model=right_holder)
    def post_right(value: right): ...


@declaration
def custom_schemas(fw: Framework, app: Any) -> None:
    class Inner(BaseModel):
        a: int

    class Outer(BaseModel):
        replaced: Annotated[Inner, pydantic.WithJsonSchema({"type": "string", "x": [{"n": None}]})]
        written: Annotated[Inner, pydantic.PlainSerializer(lambda inner: 1, return_type=int)]
        excluded: Inner | None = Field(None, exclude=True)

        @classmethod
        def __get_pydantic_json_schema__(cls, core_schema, handler):
            schema = handler(core_schema)
            handler.resolve_ref_schema(schema)["x-own"] = True
            return schema

    @app.post("/custom", response_model=Outer)
    def post_custom(value: Outer): ...


@declaration
def sequences(fw: Framework, app: Any) -> None:
    @app.post("/sequences")
    def post_sequences(
        a: Sequence[Owner],
        b: Annotated[tuple[int, Owner], fw.Body()],
        c: Annotated[frozenset[int], fw.Body()],
        d: Annotated[Optional[dict[str, Any]], fw.Body()] = None,
    ) -> tuple[Owner, ...]: ...


@declaration
def root_models(fw: Framework, app: Any) -> None:
    class Names(pydantic.RootModel[list[str]]):
        """Some names."""

    class Table(pydantic.RootModel[dict[str, Owner]]): ...

    @app.post("/roots", response_model=Table)
    def post_roots(names: Names): ...


@declaration
def inheritance(fw: Framework, app: Any) -> None:
    class Base(BaseModel):
        type: str

    class Child(Base):
        """A child."""

        type: Literal["child"] = "child"
        base: Base | None = None

    @app.get("/inheritance", response_model=Base | Child, responses={400: {"model": Child}})
    def read_inheritance(): ...


@declaration
def bytes_in_models(fw: Framework, app: Any) -> None:
    class Base64(BaseModel):
        model_config = {"val_json_bytes": "base64", "ser_json_bytes": "base64"}
        data: bytes = Field(max_length=9)

    class Utf8(BaseModel):
        data: bytes

    @app.post("/bytes")
    def post_base64(value: Base64, other: Utf8) -> Base64 | Utf8: ...


@declaration
def boolean_schemas(fw: Framework, app: Any) -> None:
    class Open(BaseModel):
        model_config = {"extra": "allow", "json_schema_extra": {"not": False, "if": True, "minimum": 3, "x": float(1)}}
        anything: dict[str, Any]
        never: None = None

    @app.post("/boolean")
    def post_open(value: Open): ...


@declaration
def wrong_schema_keywords(fw: Framework, app: Any) -> None:
    """What is not JSON Schema cannot be read as such, in a parameter of an operation."""

    @app.get("/wrong")
    def read_wrong(a: Annotated[int, fw.Query(json_schema_extra={"type": "unheard-of"})] = 1): ...


@declaration
def types_with_names(fw: Framework, app: Any) -> None:
    Identifier = typing_extensions.TypeAliasType("Identifier", Annotated[int, Field(gt=0)])
    Names = typing_extensions.TypeAliasType("Names", list[str])

    @app.get("/named/{id}")
    def read_named(id: Identifier, names: Annotated[Names | None, fw.Query()] = None) -> list[Names]: ...


@declaration
def many_alike(fw: Framework, app: Any) -> None:
    """Equal declarations share what is made of them; each has its own name and title."""
    for index in range(10):

        @app.get(f"/alike/{index}/{{number}}", name=f"alike_{index}")
        def read_alike(
            number: int,
            q: str | None = None,
            limit: Annotated[int, fw.Query(ge=0, title=f"Title {index % 2}")] = 10,
            mapping: Annotated[dict[str, int] | None, fw.Body()] = None,
        ) -> dict[str, list[int]]: ...


@declaration
def extras_beside_what_is_shared(fw: Framework, app: Any) -> None:
    """What one operation adds stays its own, though its parts are made once for several."""
    added = {"properties": {"x": {"type": "integer"}}, "additionalProperties": {"title": "Mine"}}
    scheme = fw.module("security").HTTPBearer()
    for index, extra in enumerate((None, added, None)):

        @app.api_route(
            f"/shared/{index}",
            methods=["PUT"],
            name=f"shared_{index}",
            openapi_extra=extra
            and {
                "requestBody": {"content": {"application/json": {"schema": extra}}},
                "responses": {"200": {"content": {"application/json": {"schema": extra}}}},
                "security": [{"own": []}],
                "parameters": [{"in": "query", "name": "more"}],
            },
        )
        def put_shared(mapping: dict[str, int], q: int = 1, key=fw.Security(scheme)) -> dict[str, dict[str, int]]: ...
