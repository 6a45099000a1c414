"""Random signatures, and what FastAPI and forzium make of them, in a form that can be compared.

A signature is drawn as plain data (`ParamSpec`), which `make_endpoint` turns into a function for either framework.
"""

import datetime
import decimal
import enum
import inspect
import re
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Optional, Union

from hypothesis import strategies as st
from pydantic import AfterValidator, AliasChoices, AliasPath, BaseModel, ConfigDict, Field, Json
from typing_extensions import TypedDict

from conformance.harness import Framework, frameworks

NOTHING = inspect.Parameter.empty


class Color(enum.Enum):
    red = "red"
    blue = "blue"


class Item(BaseModel):
    name: str
    price: float = 1.5
    tags: list[str] = []


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="allow")
    user_id: int = Field(alias="userId")
    page_size: Annotated[int, Field(ge=1)] = 10


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    x_token: str
    limit: int | None = None
    ids: list[int] = []


class Chosen(BaseModel):
    kind: str = Field(validation_alias=AliasChoices("kind", "type"))
    other: Json[list[int]] | None = None


class Record(TypedDict):
    a: int
    b: str


@dataclass
class Point:
    x: int
    y: int = 0


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("not even")
    return value


UPLOAD = "UploadFile"  # stands for the framework's own class

SCALARS: list[Any] = [
    int,
    str,
    float,
    bool,
    bytes,
    Color,
    Literal["a", "b"],
    uuid.UUID,
    datetime.date,
    datetime.datetime,
    decimal.Decimal,
    str | None,
    Optional[int],
    int | str,
    Union[str, int],
    Annotated[int, AfterValidator(_even)],
    Annotated[int, Field(gt=2)],
    Annotated[str, Field(description="a text", max_length=3)] | None,
    Json[list[int]],
    Any,
    NOTHING,
]
SEQUENCES: list[Any] = [
    list[int],
    list[str] | None,
    set[str],
    tuple[int, str],
    tuple[int, ...],
    frozenset[int],
    deque[int],
    Sequence[str],
    list,
    list[Color],
    list[int] | int,
    list[bytes],
]
COMPLEX: list[Any] = [
    Item,
    Item | None,
    list[Item],
    dict[str, int],
    Record,
    Point,
    Aliased,
    Strict,
    Chosen,
    Aliased | Strict,
    Item | Aliased | None,
    list[list[int]],
    dict[str, Any] | None,
]
FILES: list[Any] = [UPLOAD, (list, UPLOAD), (Optional, UPLOAD), bytes, list[bytes], bytes | None]

PLACES = ["", "Query", "Header", "Cookie", "Path", "Body", "Form", "File"]


@dataclass(frozen=True)
class ParamSpec:
    """One parameter: where from, which type, default, declaration's options, and where the declaration is written."""

    name: str
    place: str
    annotation: Any
    default: Any
    options: tuple[tuple[str, Any], ...]
    annotated: bool


_OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "alias": st.sampled_from(["a-b", "userId", "X-Up", ""]),
    "validation_alias": st.sampled_from(
        ["v", AliasChoices("c1", "c2"), AliasPath("p", 0), AliasChoices("c", AliasPath("p"))]
    ),
    "serialization_alias": st.just("out"),
    "title": st.just("The Title"),
    "description": st.just("About it."),
    "gt": st.sampled_from([1, 1.0, 2.5]),
    "le": st.sampled_from([3, 10]),
    "min_length": st.sampled_from([1, 2]),
    "max_length": st.just(4),
    "pattern": st.just("^[a-z0-9]+$"),
    "deprecated": st.sampled_from([True, False, "gone"]),
    "include_in_schema": st.booleans(),
    "examples": st.just([{"v": 1}]),
    "json_schema_extra": st.just({"x-extra": 1}),
    "strict": st.booleans(),
    "validate_default": st.just(True),
    "embed": st.sampled_from([True, False]),
    "convert_underscores": st.booleans(),
    "media_type": st.sampled_from(["application/json", "text/plain", "multipart/form-data"]),
}
_ONLY = {"embed": ("Body",), "convert_underscores": ("Header",), "media_type": ("Body", "Form", "File")}


@st.composite
def param_specs(draw: st.DrawFn, name: str) -> ParamSpec:
    # `item_id` mostly stands in a path, where little else is possible; contradictions are drawn, but seldom.
    in_path = name == "item_id" and draw(st.integers(0, 9)) > 0
    place = draw(st.sampled_from(["", "Path"] if in_path else PLACES))
    pools = {
        "": SCALARS + SEQUENCES + COMPLEX + FILES,
        "Path": SCALARS,
        "Body": SCALARS + SEQUENCES + COMPLEX,
        "Form": SCALARS + SEQUENCES + COMPLEX,
        "File": FILES + SCALARS[:3],
    }
    annotation = draw(st.sampled_from(SCALARS if in_path else pools.get(place, SCALARS + SEQUENCES + COMPLEX)))
    default = NOTHING
    if not in_path and place != "Path":
        default = draw(st.sampled_from([NOTHING, NOTHING, None, 5, "d", 1.0, True, ["x"]]))
    options: dict[str, Any] = {}
    if place:
        for key in draw(st.lists(st.sampled_from(sorted(_OPTIONS)), max_size=3, unique=True)):
            if place in _ONLY.get(key, PLACES):
                options[key] = draw(_OPTIONS[key])
    return ParamSpec(name, place, annotation, default, tuple(options.items()), draw(st.booleans()))


def signatures(most: int = 3) -> st.SearchStrategy[list[ParamSpec]]:
    """Signatures of up to `most` parameters, of which `item_id` may stand in a path."""
    names = st.lists(st.sampled_from(["item_id", "q", "x_token", "user_id"]), min_size=1, max_size=most, unique=True)
    return names.flatmap(lambda chosen: st.tuples(*(param_specs(name) for name in chosen)).map(list))


def _annotation(fw: Framework, annotation: Any) -> Any:
    if annotation == UPLOAD:
        return fw.UploadFile
    if isinstance(annotation, tuple):
        return annotation[0][fw.UploadFile]
    return annotation


def make_endpoint(fw: Framework, specs: list[ParamSpec]) -> Callable[..., Any]:
    """Make a function with this signature.

    Raises:
        Exception: Whatever the framework says about a declaration.
    """
    functions = fw.module("param_functions")

    def endpoint(**arguments: Any) -> Any:
        return arguments

    parameters = []
    for spec in specs:
        annotation, default = _annotation(fw, spec.annotation), spec.default
        if spec.place and spec.annotated:
            declaration = getattr(functions, spec.place)(**dict(spec.options))
            annotation = Annotated[Any if annotation is NOTHING else annotation, declaration]
        elif spec.place:
            given = () if default is NOTHING else (default,)
            default = getattr(functions, spec.place)(*given, **dict(spec.options))
        parameters.append(
            inspect.Parameter(spec.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        )
    endpoint.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return endpoint


def plain(value: Any) -> str:
    """The representation of a value without the framework it belongs to."""
    text = re.sub(r"functools\.partial\(<function \w+ at 0x\w+>", "partial(...", repr(value))
    text = re.sub(r"[\w.]*\bUploadFile\b", "UploadFile", re.sub(r" at 0x[0-9a-f]+", "", text))
    return re.sub(r"\b(fastapi|forzium|starlette)\.", "", text)


_ATTRIBUTES = (
    *("default", "default_factory", "alias", "alias_priority", "validation_alias", "serialization_alias", "title"),
    *("description", "examples", "discriminator", "deprecated", "json_schema_extra", "validate_default", "metadata"),
    *("annotation", "include_in_schema", "convert_underscores", "embed", "media_type", "openapi_examples"),
    *("_attributes_set", "in_"),
)


def field_facts(field: Any) -> Any:
    """All that is to be seen of a field."""
    info = field.field_info
    return {
        "name": field.name,
        "aliases": (field.alias, field.validation_alias, field.serialization_alias),
        "class": type(info).__name__,
        "repr": repr(info),
        "default": plain(field.default),
        "mode": field.mode,
        **{name: plain(getattr(info, name, "-")) for name in _ATTRIBUTES},
        "validator": _schema_of(field),
    }


def _schema_of(field: Any) -> Any:
    try:
        return field._type_adapter.json_schema()
    except Exception as error:
        return type(error).__name__


LISTS = ("path_params", "query_params", "header_params", "cookie_params", "body_params")


def dependant_facts(dependant: Any) -> Any:
    """All that is to be seen of a dependant and those below it."""
    facts = {name: [field_facts(field) for field in getattr(dependant, name)] for name in LISTS}
    for name in type(dependant).__slots__:
        if name not in (*LISTS, "dependencies", "call", "concurrency"):
            facts[name] = getattr(dependant, name)
    facts["call"] = getattr(dependant.call, "__name__", type(dependant.call).__name__)
    facts["limit"] = dependant.concurrency and dependant.concurrency.max_concurrency
    facts["dependencies"] = [dependant_facts(inner) for inner in dependant.dependencies]
    return facts


def attempt(work: Callable[[], Any]) -> tuple[Any, str, str]:
    """What a call returns, or the class and text of what it raises."""
    try:
        return work(), "", ""
    except Exception as error:
        kinds = type(error).__mro__
        name = next(kind.__name__ for kind in kinds if not kind.__module__.startswith("forzium.dependencies"))
        return None, name, str(error)


def both(work: Callable[[Framework], Any]) -> tuple[Any, Any]:
    """Do the same with both; their errors must be of one class, and ours begin with FastAPI's words.

    Returns:
        FastAPI's result and ours; None and None if both raise, or ours does where FastAPI's operation could not be called.
    """
    (oracle, expected, words), (ours, found, text) = (attempt(lambda fw=fw: work(fw)) for fw in frameworks())
    if not expected and text.startswith("A form and a JSON body cannot be combined"):
        return None, None  # docs/compatibility.md
    assert found == expected, (found, expected, text or words)
    assert plain(text).strip("'\"").startswith(plain(words).strip("'\"")), (text, words)
    return oracle, ours
