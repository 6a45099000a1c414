"""Declarations that strain the document: what people combine, rather than what each option does by itself.

Beside those of ``declarations``, and registered with them. No ``from __future__ import annotations`` here either.
"""

import dataclasses
import datetime
import decimal
import enum
import functools
import uuid
from collections.abc import AsyncIterable, Iterable, Iterator
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar

import annotated_types as at
import typing_extensions as te
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Discriminator,
    EmailStr,
    Field,
    FilePath,
    HttpUrl,
    InstanceOf,
    Json,
    PlainSerializer,
    RootModel,
    SecretStr,
    StringConstraints,
    Tag,
    computed_field,
    conlist,
    create_model,
    field_serializer,
)
from pydantic.dataclasses import dataclass as pdc
from pydantic.json_schema import SkipJsonSchema, WithJsonSchema
from pydantic_core import core_schema

from conformance.declarations import DECLARATIONS, declaration
from conformance.harness import Framework

__all__ = ["DECLARATIONS"]


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    barks: bool = True


class Bird(BaseModel):
    kind: Literal["bird"]
    wings: tuple[int, int] = (1, 1)


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Owner(BaseModel):
    pets: list[Pet]
    best: Pet | None = None
    nested: Annotated[Pet | Bird, Field(discriminator="kind")]


def kind_of(v):
    return v.get("kind") if isinstance(v, dict) else v.kind


TaggedPet = Annotated[Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")], Discriminator(kind_of)]


class TaggedOwner(BaseModel):
    pet: TaggedPet


@declaration
def discriminators(fw: Framework, app: Any) -> None:
    @app.post("/hard/d1")
    def a(pet: Pet) -> Pet: ...
    @app.post("/hard/d2")
    def b(owner: Owner) -> list[Owner]: ...
    @app.post("/hard/d3")
    def c(pet: Annotated[TaggedPet, fw.Body()]) -> TaggedOwner: ...
    @app.post("/hard/d4")
    def d(pet: Annotated[Cat | Dog, fw.Body(discriminator="kind")], e: TaggedOwner): ...
    @app.get("/hard/d5")
    def e() -> dict[str, Pet]: ...


class A(BaseModel):
    b: "B | None" = None
    x: int = 1


class B(BaseModel):
    a: list[A] = []
    when: datetime.datetime

    @computed_field
    @property
    def day(self) -> str:
        return ""


A.model_rebuild()


@declaration
def models_that_need_each_other(fw: Framework, app: Any) -> None:
    @app.post("/hard/m")
    def m(a: A) -> B: ...
    @app.post("/hard/m2", response_model=dict[str, A])
    def m2(b: list[B], c: A): ...


T = TypeVar("T")
K = TypeVar("K")


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: "Page[T] | None" = None


class Pair(BaseModel, Generic[K, T]):
    left: K
    right: T


@declaration
def generics_in_generics(fw: Framework, app: Any) -> None:
    @app.get("/hard/g")
    def g() -> Page[Pair[int, Page[str]]]: ...
    @app.post("/hard/g2")
    def g2(p: Pair[A, B], q: Page[A]) -> Pair[B, list[A]]: ...
    @app.post("/hard/g3")
    def g3(p: Page, q: Pair[str, T]) -> Page[Any]: ...
    @app.post("/hard/g4")
    def g4(p: Page[Cat] | Page[Dog]) -> Page[Cat | Dog]: ...


@dataclasses.dataclass
class Plain:
    a: int
    b: list[str] = dataclasses.field(default_factory=list)
    c: "Plain | None" = None


@pdc
class Checked:
    a: Annotated[int, Field(gt=1, description="d")]
    b: Plain
    d: datetime.date = datetime.date(2020, 1, 1)


class Keys(te.TypedDict):
    a: te.Required[int]
    b: te.NotRequired[list[Plain]]


class MoreKeys(Keys, total=False):
    c: te.ReadOnly[str]


class Pair2(NamedTuple):
    x: int
    y: str = "a"


@declaration
def other_classes_of_data(fw: Framework, app: Any) -> None:
    @app.post("/hard/dc")
    def dc(a: Plain, b: Checked) -> Checked: ...
    @app.post("/hard/td")
    def td(a: MoreKeys) -> Keys: ...
    @app.post("/hard/nt")
    def nt(a: Pair2) -> list[Pair2]: ...
    @app.get("/hard/dq")
    def dq() -> Plain | Keys | None: ...
    @app.post("/hard/f")
    def f(a: Annotated[Plain, fw.Form()]): ...


class Aliased(BaseModel):
    model_config = ConfigDict(
        alias_generator=lambda s: "x-" + s,
        populate_by_name=True,
        extra="forbid",
        title="Aliased",
        json_schema_extra={"examples": [{"x-a": 1}]},
    )
    a: int
    b_c: Annotated[str, Field(alias="bee", serialization_alias="sea", validation_alias=AliasChoices("q", "r"))] = "x"
    d: str = Field("x", exclude=True, deprecated="gone")
    e: int | SkipJsonSchema[None] = None


class SerializedOtherwise(BaseModel):
    model_config = ConfigDict(
        json_schema_serialization_defaults_required=True,
        use_enum_values=True,
        json_schema_extra=lambda s: s.update({"x-n": len(s["properties"])}),
    )
    a: int = 1
    b: Annotated[datetime.timedelta, PlainSerializer(lambda v: 1, return_type=int)] = datetime.timedelta(1)
    c: Annotated[int, WithJsonSchema({"type": "string", "x": None})] = 3

    @field_serializer("a")
    def ser(self, v) -> str:
        return str(v)


class ManyDefaults(BaseModel):
    model_config = ConfigDict(json_schema_mode_override="validation")
    a: int = 1
    s: SecretStr = SecretStr("x")
    u: HttpUrl = HttpUrl("http://a")
    j: Json[list[int]] = [1]
    r: Annotated[str, Field(pattern="^a$", min_length=1)] = "a"
    dd: decimal.Decimal = decimal.Decimal("1.50")
    few: conlist(int, min_length=1, max_length=2) = [1]
    st: set[int] = {2, 1}
    fs: frozenset[str] = frozenset("a")
    bs: ByteSize = ByteSize(1)
    e: EmailStr = "a@b.c"
    by: bytes = b"\x00a"
    pt: FilePath | None = None
    lit: Literal["a", 1, None] = None
    t: tuple[int, ...] = ()
    t2: tuple[int, str] = (1, "a")
    an: Any = None


@declaration
def configured_models(fw: Framework, app: Any) -> None:
    @app.post("/hard/c")
    def c(a: Aliased, b: SerializedOtherwise) -> Aliased: ...
    @app.post("/hard/c2")
    def c2(a: SerializedOtherwise) -> SerializedOtherwise: ...
    @app.post("/hard/c3")
    def c3(a: ManyDefaults) -> ManyDefaults: ...
    @app.post("/hard/c4", response_model_by_alias=False)
    def c4(a: list[Aliased]) -> dict[int, SerializedOtherwise]: ...
    @app.get("/hard/c5")
    def c5(q: Annotated[Aliased, fw.Query()], h: Annotated[ManyDefaults, fw.Header()] = None): ...


class Letter(enum.StrEnum):
    "Docs of Letter"

    a = "a"
    b = "b"


class Flag(enum.IntFlag):
    x = 1
    y = 2


class One(enum.Enum):
    only = 1


Letters = te.TypeAliasType("MyAlias", list[Letter])
Number = NewType("NewT", int)


@declaration
def enums_aliases_and_new_types(fw: Framework, app: Any) -> None:
    @app.get("/hard/e/{e}")
    def e(
        e: Letter,
        f: Flag = Flag.x,
        o: One = One.only,
        many: Annotated[list[Letter], fw.Query()] = [Letter.a],
        n: Number = 1,
        al: Annotated[Letters, fw.Query()] = [],
    ): ...
    @app.post("/hard/e")
    def ep(m: Letters) -> Letters: ...
    @app.post("/hard/e3")
    def ep3() -> dict[Letter, Flag]: ...


@declaration
def documented_parameters_and_odd_endpoints(fw: Framework, app: Any) -> None:
    @app.get(
        "/hard/docs1", description="x\n y", tags=[Letter.a, "t"], deprecated=True, response_description="", summary=""
    )
    def one(
        a: Annotated[int, te.Doc("doc of a"), fw.Query(description="desc")],
        b: Annotated[int, te.Doc("doc of b")] = 1,
        c: Annotated[
            int,
            fw.Query(
                examples=[1, 2],
                openapi_examples={"x": {"summary": "s", "value": 1, "description": "d", "externalValue": None}},
                deprecated=True,
                json_schema_extra={"x-y": 1},
            ),
        ] = 2,
        d: Annotated[str | None, fw.Header(alias="X-D", title="T", include_in_schema=False)] = None,
        e: Annotated[str, fw.Cookie(example="ex")] = "z",
        f: Annotated[int, Field(gt=3, multiple_of=2)] = 4,
        g: Annotated[list[int] | None, fw.Query(min_length=1, alias="gg")] = None,
    ):
        """
        Indented.

            code
        """

    @app.get(
        "/hard/docs2",
        openapi_extra={
            "x-a": {"b": [1]},
            "parameters": [{"in": "query", "name": "raw", "schema": {"type": "string"}}],
            "responses": {"200": {"description": "changed", "headers": {"X": {"schema": {"type": "integer"}}}}},
            "servers": [{"url": "/s"}],
            "externalDocs": {"url": "https://a"},
        },
    )
    def two(z: int = 1): ...
    @app.api_route("/hard/docs3", methods=["PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "GET"], operation_id="multi")
    def three(z: int = 1, b: Annotated[dict, fw.Body()] = {}): ...

    app.add_api_route("/hard/docs4", functools.partial(one, a=1), name="part")

    class Call:
        "doc of call"

        def __call__(self, q: int):
            "doc of __call__"

    app.add_api_route("/hard/docs5", Call(), name="x")
    app.add_api_route("/hard/docs6/{p:path}/{i:int}/{u:uuid}", lambda p, i: None)


@declaration
def responses_of_all_kinds(fw: Framework, app: Any) -> None:
    R = fw.module("responses")

    @app.get(
        "/hard/r1",
        responses={
            404: {
                "model": Cat,
                "description": "nf",
                "headers": {"H": {"schema": {"type": "string"}}},
                "links": {"l": {"operationId": "x"}},
            },
            "5XX": {"model": list[Dog]},
            "default": {"content": {"image/png": {}}},
            418: {},
            "2XX": {"description": "two"},
            200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "ok"},
        },
    )
    def r1() -> Cat: ...
    @app.get("/hard/r2", response_class=R.FileResponse, responses={200: {"content": {"application/octet-stream": {}}}})
    def r2(): ...
    @app.get("/hard/r3", status_code=204)
    def r3() -> None: ...
    @app.get("/hard/r4", status_code=304, responses={418: {}})
    def r4(): ...
    @app.get("/hard/r5", response_model=None)
    def r5() -> Cat: ...
    @app.get("/hard/r6")
    def r6() -> R.JSONResponse: ...
    @app.get("/hard/r7", response_class=R.RedirectResponse, status_code=302)
    def r7() -> str: ...
    @app.get("/hard/r8", response_class=R.EventSourceResponse)
    async def r8() -> AsyncIterable[Pet]:
        yield 1

    @app.get("/hard/r9")
    def r9() -> Iterator[Cat]:
        yield 1

    @app.get("/hard/r10", response_class=R.StreamingResponse)
    def r10() -> Iterable[bytes]:
        yield b""

    @app.get("/hard/r11", response_class=R.PlainTextResponse, responses={200: {"model": Dog}})
    def r11() -> Cat: ...

    class Xml(R.Response):
        media_type = "application/xml"

        def __init__(self, content=None, status_code: int = 207, **k): ...

    @app.get("/hard/r13", response_class=Xml)
    def r13() -> Cat: ...

    class J(R.JSONResponse):
        media_type = "application/vnd.x+json"

    @app.post("/hard/r14", response_class=J, responses={400: {"model": Owner}})
    def r14(
        b: Annotated[Cat, fw.Body(media_type="application/vnd.y+json", examples=[{"kind": "cat"}])],
    ) -> Owner | Cat: ...
    @app.get("/hard/r15", response_class=R.EventSourceResponse)
    def r15() -> Cat: ...
    @app.get("/hard/r16", response_model=Iterable[Cat])
    def r16():
        yield 1

    @app.get("/hard/r17", responses={"422": {"model": Cat}})
    def r17(q: int) -> Optional[Cat]: ...


@declaration
def security_from_above_and_below(fw: Framework, app: Any) -> None:
    S = fw.module("security")
    M = fw.module("openapi.models")
    o = S.OAuth2(
        flows=M.OAuthFlows(
            implicit=M.OAuthFlowImplicit(authorizationUrl="a", scopes={"x": "y"}, refreshUrl="r"),
            password=M.OAuthFlowPassword(tokenUrl="t"),
            clientCredentials=M.OAuthFlowClientCredentials(tokenUrl="c", scopes={}),
            authorizationCode=M.OAuthFlowAuthorizationCode(authorizationUrl="a", tokenUrl="t"),
        ),
        description="all",
        scheme_name="All",
    )
    d = {
        "x": S.HTTPDigest(scheme_name="dig"),
        "y": S.OpenIdConnect(openIdConnectUrl="https://x/.well-known"),
        "k": S.APIKeyCookie(name="k", description="kd"),
        "b": S.HTTPBearer(bearerFormat="JWT", auto_error=False),
    }

    def dep(a=fw.Security(o, scopes=["s1"]), b=fw.Depends(d["x"])): ...
    def dep2(a=fw.Security(dep, scopes=["s2"]), c=fw.Depends(d["y"])): ...
    @app.get("/hard/s", dependencies=[fw.Security(dep2, scopes=["s3"]), fw.Depends(d["k"])])
    def s(a=fw.Security(dep, scopes=["s4"]), t=fw.Depends(d["b"])): ...

    r = fw.APIRouter(dependencies=[fw.Security(o, scopes=["r"])])

    @r.get("/hard/s2")
    def s2(): ...

    app.include_router(r, dependencies=[fw.Depends(d["b"])])


@declaration
def routers_in_routers(fw: Framework, app: Any) -> None:
    inv = fw.APIRouter(default_response_class=fw.module("responses").HTMLResponse)

    @inv.post("{$callback_url}/invoices/{$request.body.id}", response_model=Cat, responses={500: {"model": Dog}})
    def cb(body: Owner, q: int = 1): ...

    a = fw.APIRouter(
        prefix="/a",
        tags=["ta"],
        responses={404: {"description": "a404", "model": Bird}},
        deprecated=True,
        callbacks=inv.routes,
        generate_unique_id_function=lambda r: "A-" + r.name,
    )
    b = fw.APIRouter(prefix="/b/{bid}", tags=["tb", "ta"], dependencies=[fw.Depends(lambda bid: 1)])

    @b.post("/hard/x", tags=["tx"], callbacks=inv.routes)
    def x(bid: int, cat: Cat): ...
    @b.get("/hard/y", include_in_schema=False)
    def y(): ...
    @b.get("/hard/z", deprecated=False, generate_unique_id_function=lambda r: "Z" + r.path_format)
    def z(
        bid: str, bid2: Annotated[int, fw.Query(alias="bid")] = 1, h: Annotated[str, fw.Header(alias="bid")] = ""
    ): ...

    a.include_router(
        b,
        prefix="/in",
        responses={404: {"description": "b"}, 403: {}},
        default_response_class=fw.module("responses").PlainTextResponse,
    )
    app.include_router(a, prefix="/v1", tags=["v1"], include_in_schema=True)
    app.include_router(
        b,
        prefix="/v2",
        deprecated=True,
        generate_unique_id_function=lambda r: f"v2-{r.path_format}-{sorted(r.methods)}",
    )
    sub = fw.FastAPI()
    app.mount("/hard/sub", sub)

    @app.websocket("/hard/ws")
    async def ws(w: fw.WebSocket, q: int): ...
    @app.webhooks.post("hook", responses={201: {"model": Owner}})
    def hook(o: Owner, h: Annotated[str, fw.Header()]):
        "Doc"

    @app.webhooks.get("hook")
    def hook2() -> Owner: ...


class Fields(BaseModel):
    a: str
    n: int = 1
    f: Any = None
    tags: list[str] = []
    model_config = {"extra": "forbid"}


@declaration
def forms_and_bodies_of_all_kinds(fw: Framework, app: Any) -> None:
    U = fw.UploadFile

    class FF(BaseModel):
        name: str
        file: U
        files: list[U] | None = None

    @app.post("/hard/f1")
    def f1(
        a: Annotated[str, fw.Form(min_length=1)],
        f: U,
        g: Annotated[bytes, fw.File(description="g")],
        h: list[U] = [],
        i: U | None = None,
        j: Annotated[list[bytes] | None, fw.File()] = None,
    ): ...
    @app.post("/hard/f2")
    def f2(m: Annotated[Fields, fw.Form()]): ...
    @app.post("/hard/f3")
    def f3(m: Annotated[FF, fw.Form(media_type="multipart/form-data")]): ...
    @app.post("/hard/f4")
    def f4(m: Annotated[Fields, fw.Form(title="x")]): ...
    @app.put("/hard/f5")
    def f5(b: bytes = fw.Body(media_type="image/png"), q: Annotated[str, fw.Query()] = ""): ...
    @app.put("/hard/f6")
    def f6(
        a: Annotated[int, fw.Body(embed=True, title="AA")],
    ): ...
    @app.put("/hard/f7")
    def f7(
        a: Annotated[Cat, fw.Body(embed=True)],
        b: Annotated[Dog | None, fw.Body()] = None,
        c: Annotated[int, fw.Body(ge=1)] = 3,
        d: Annotated[Any, fw.Body()] = None,
    ): ...
    @app.delete("/hard/f8")
    def f8(a: list[Cat] | None = None): ...
    @app.get("/hard/f9")
    def f9(
        m: Annotated[Fields, fw.Query()],
        c: Annotated[Fields, fw.Cookie()],
        h: Annotated[Fields, fw.Header(convert_underscores=False)],
    ): ...
    @app.post("/hard/f10")
    def f10(r: RootModel[list[int]], s: RootModel[dict[str, Cat]]): ...
    @app.post("/hard/f11")
    def f11(j: Annotated[Json[Cat], fw.Form()], e: Annotated[Letter, fw.Form()] = Letter.a): ...


def model(name, mod, **f):
    return create_model(name, __module__=mod, **f)


ITEM_ONE = model("Item", "m.one", a=(int, ...))
ITEM_TWO = model("Item", "m.two", b=(int, 1))
ITEM_OF_ONE = model("Item", "one", c=(ITEM_ONE, ...))
ITEM_INPUT = model("Item-Input", "x", d=(ITEM_TWO, ...))
ITEM__ONE = model("Item__One", "x", e=(ITEM_OF_ONE | None, None))


@declaration
def clashes_of_names(fw: Framework, app: Any) -> None:
    @app.post("/hard/k1")
    def k1(a: ITEM_ONE, b: ITEM_TWO) -> ITEM_ONE: ...
    @app.post("/hard/k2")
    def k2(c: ITEM_OF_ONE, d: ITEM_INPUT) -> ITEM_TWO: ...
    @app.post("/hard/k3")
    def k3(e: ITEM__ONE) -> list[ITEM__ONE]: ...
    def items():
        class Item(BaseModel):
            z: int

        return Item

    I1, I2 = items(), items()

    @app.post("/hard/k4")
    def k4(e: I1) -> I2: ...

    class HTTPValidationError(BaseModel):
        x: int

    class ValidationError(BaseModel):
        y: HTTPValidationError

    @app.post("/hard/k5")
    def k5(e: ValidationError) -> HTTPValidationError: ...

    class Body_k6(BaseModel):
        x: int

    @app.post("/hard/k6")
    def Body_k6_k6_post(e: Body_k6, f: int = fw.Body()): ...

    class properties(BaseModel):
        b: int
        a: int = 1

    class default(BaseModel):
        z: properties
        a: int = 1

    @app.post("/hard/k7")
    def k7(e: properties, f: default): ...


class Hooked:
    @classmethod
    def __get_pydantic_core_schema__(cls, s, h):
        return core_schema.no_info_plain_validator_function(
            lambda v: v, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, s, h):
        return {"type": "string", "format": "cust", "x-null": None}


class HasHooked(BaseModel):
    model_config = {"arbitrary_types_allowed": True}
    c: Hooked
    d: Hooked | None = None
    f: InstanceOf[Hooked] | None = None


@declaration
def hooks_in_types(fw: Framework, app: Any) -> None:
    @app.post("/hard/cu")
    def cu(q: Annotated[Hooked, fw.Query()], b: Annotated[Hooked, fw.Body()]) -> Hooked: ...
    @app.post("/hard/cu3")
    def cu3(
        q: Annotated[int, fw.Query(), AfterValidator(lambda v: v)],
        w: Annotated[str, BeforeValidator(lambda v: v), fw.Query()],
        z: Annotated[int, at.Interval(gt=1, lt=5)] = 2,
        m: Annotated[str, at.Len(1, 3)] = "a",
        s: Annotated[str, StringConstraints(pattern="a", to_lower=True)] = "a",
    ): ...


@declaration
def hooks_in_models(fw: Framework, app: Any) -> None:
    @app.post("/hard/cu2")
    def cu2(n: HasHooked) -> HasHooked: ...


@declaration
def dependencies_with_equal_names(fw: Framework, app: Any) -> None:
    class Common:
        def __init__(self, q: str | None = None, skip: int = 0): ...

    class Common2(BaseModel):
        a: int = 1
        b: Annotated[str, Field(alias="bb", description="x")]

    def sub(x_token: Annotated[str, fw.Header(description="first")], common: Annotated[Common, fw.Depends()]): ...
    def sub2(
        x_token: Annotated[int, fw.Header(description="second")] = 3, common=fw.Depends(Common, use_cache=False)
    ): ...
    def with_body(cat: Cat, f: int = fw.Body(1)): ...
    @app.post("/hard/dp", dependencies=[fw.Depends(sub)])
    def dp(a=fw.Depends(sub2), b=fw.Depends(with_body), cm: Common2 = fw.Depends(), dog: Dog = None): ...
    @app.get("/hard/dp/{q}")
    def dp2(q: int, a: Annotated[Common, fw.Depends(Common)]): ...
    @app.get("/hard/dp3")
    def dp3(req: fw.Request, resp: fw.Response, bt: fw.BackgroundTasks, ss: fw.module("security").SecurityScopes): ...


NO_JSON = object()


@declaration
def defaults_of_all_types(fw: Framework, app: Any) -> None:
    class M(BaseModel):
        f: float = float("inf")
        n: float = float("nan")
        d: decimal.Decimal = decimal.Decimal("1.10")
        u: uuid.UUID = uuid.UUID(int=1)
        t: datetime.time = datetime.time(1)
        p: Cat = Cat(kind="cat")
        s: str = "\ud800"
        b: bytes = b"\xff"
        dd: dict = {"a": None, "_sa": 1}
        o: object = NO_JSON
        li: list = [None, {"x": None}]
        df: list[int] = Field(default_factory=lambda: [1])
        df2: int = Field(default_factory=lambda d: 1)
        e: Letter = Letter.a
        i: int = 10**30
        neg: float = -0.0
        ex: float = 1e-7
        emp: dict = {}
        tt: tuple = (1, 2)
        se: set = set()

    @app.post("/hard/df")
    def df(m: M) -> M: ...
    @app.get("/hard/df2")
    def df2(
        f: float = float("inf"),
        d: datetime.date = datetime.date(2020, 1, 1),
        many: Annotated[list[float], fw.Query()] = [1.5, 1e-7],
        s: Annotated[set[int], fw.Query()] = {1},
        b: bytes = b"a",
        n: None = None,
    ): ...


@declaration
def front_ends(fw: Framework, app: Any) -> None:
    app.frontend("/hard/f", directory="nowhere", check_dir=False)
    r = fw.APIRouter()
    r.frontend("/hard/g", directory="nowhere", check_dir=False)
    app.include_router(r, prefix="/p")

    @app.get("/hard/x")
    def x(): ...
