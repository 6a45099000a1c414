"""Models in what an endpoint without a response model returns: FastAPI encodes, then writes; forzium has pydantic write."""

import datetime
import decimal
import enum
import uuid
from collections import deque
from typing import Any

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    SecretStr,
    SerializeAsAny,
    computed_field,
    field_serializer,
    model_serializer,
)

from conformance.harness import Framework, Request, compare


class Kind(enum.Enum):
    A = "a"


class Inner(BaseModel):
    a: int = 1
    other: str = Field("z", alias="Other")
    hidden: int = Field(3, exclude=True)


class Wider(Inner):
    extra: int = 9


class Many(BaseModel):
    model_config = ConfigDict(extra="allow")
    number: float = 1.25
    price: decimal.Decimal = decimal.Decimal("1E+3")
    lasted: datetime.timedelta = datetime.timedelta(1, 2)
    when: datetime.datetime = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    id: uuid.UUID = uuid.UUID(int=3)
    kind: Kind = Kind.A
    inner: Inner = Inner()
    inners: list[Inner] = [Inner()]
    keys: dict[Any, Any] = {"x": None, 1: 2, Kind.A: 3}
    text: str = 'é\u2028"\\\n\x00'
    raw: bytes = b"abc"
    secret: SecretStr = SecretStr("s")
    anything: Any = None

    @computed_field
    @property
    def computed(self) -> int:
        return 5


class Holds(BaseModel):
    declared: Inner
    own: SerializeAsAny[Inner]


class LeftOut(BaseModel):
    """Members whose names begin with `_sa` are not in an answer, at any depth."""

    text: str = "_sa"
    keys: dict[str, Any] = {"_sa_state": 1, "b": [{"_sa": 1}]}
    alias: int = Field(1, serialization_alias="_sa_alias")


class DumpsItself(BaseModel):
    a: int = 1

    def model_dump(self, **_: Any) -> Any:
        return {"dumped": datetime.date(2020, 1, 1)}


class SerializesItself(BaseModel):
    a: int = 1

    @model_serializer
    def as_list(self) -> Any:
        return [1, {"_sa": 2}]


class Configured(BaseModel):
    model_config = ConfigDict(ser_json_timedelta="float", ser_json_bytes="base64", use_enum_values=True)
    lasted: datetime.timedelta = datetime.timedelta(1)
    raw: bytes = b"\xff"
    kind: Kind = Kind.A


class WithoutForm(BaseModel):
    anything: Any = None


class Refuses(BaseModel):
    a: int = 1

    @field_serializer("a")
    def refuse(self, value: int) -> int:
        raise ZeroDivisionError("refused")


class Text(BaseModel):
    text: str = "NaN Infinity"


class Twice(BaseModel):
    """Names that come twice in pydantic's text, and of which an answer has the last."""

    model_config = ConfigDict(extra="allow")
    a: int = Field(1, serialization_alias="b")
    b: int = 2
    keys: dict[Any, int] = {1: 1, "1": 2}


class AliasTwice(BaseModel):
    a: int = Field(1, serialization_alias="b")
    b: int = 2


NO_FORM = object()

VALUES: list[Any] = [
    Many(),
    Many(more=[Inner()], anything=Wider()),  # type: ignore[call-arg]
    Holds(declared=Wider(), own=Wider()),
    LeftOut(),
    DumpsItself(),
    SerializesItself(),
    Configured(),
    WithoutForm(anything=NO_FORM),
    WithoutForm(anything=b"\xff"),
    Refuses(),
    Text(),
    Twice(),
    Twice(c=1),  # type: ignore[call-arg]
    AliasTwice(),
    RootModel[list[int]]([1]),
    Inner.model_construct(a="no number"),
    [Inner(), {"a": Wider()}, (LeftOut(),), deque([DumpsItself()]), {"_sa": Inner()}],
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_a_model_is_answered_alike(value: Any):
    def build(fw: Framework) -> Any:
        app = fw.FastAPI()

        @app.get("/")
        async def alone():
            return value

        @app.get("/inside")
        def inside():
            return {"items": [value, value], "more": None}

        return app

    compare(build, Request("/"), Request("/inside"), backends=("asyncio",))
