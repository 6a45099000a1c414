"""Declarations of where an argument comes from: `Path`, `Query`, `Header`, `Cookie`, `Body`, `Form`, `File`, `Depends`.

Layer: pydantic's `FieldInfo`, `forzium._fields`, `forzium.concurrency`. These are the classes that the analysis in
`forzium.dependencies` looks for; the functions that users call stand in `forzium.param_functions`. Nothing here reads
a request.

All field declarations take one list of options. It is written twice, and only here: once for type checkers
(`FieldOptions`), once with its defaults (`_DEFAULTS`); every signature that `inspect` shows is derived from the latter.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict, TypeVar, Unpack

from pydantic.fields import FieldInfo

from forzium._fields import Undefined
from forzium.concurrency import _DependencyConcurrency
from forzium.datastructures import _Unset
from forzium.exceptions import FastAPIDeprecationWarning

if TYPE_CHECKING:
    import re

    from pydantic import AliasChoices, AliasPath, Discriminator
    from typing_extensions import deprecated as DeprecatedMark

    from forzium.openapi.models import Example

_F = TypeVar("_F", bound=Callable[..., Any])


class ParamTypes(Enum):
    """The places in a request, apart from its body, that hold parameters."""

    query = "query"
    header = "header"
    path = "path"
    cookie = "cookie"


class FieldOptions(TypedDict, total=False):
    """Keywords that every parameter and body declaration takes; see pydantic's `Field` for what each of them does."""

    default_factory: Callable[[], Any] | None
    alias: str | None
    alias_priority: int | None
    validation_alias: str | AliasPath | AliasChoices | None
    serialization_alias: str | None
    title: str | None
    description: str | None
    gt: float | None
    ge: float | None
    lt: float | None
    le: float | None
    min_length: int | None
    max_length: int | None
    pattern: str | re.Pattern[str] | None
    regex: str | None
    discriminator: str | Discriminator | None
    strict: bool | None
    validate_default: bool | None
    union_mode: Literal["smart", "left_to_right"] | None
    fail_fast: bool | None
    multiple_of: float | None
    allow_inf_nan: bool | None
    max_digits: int | None
    decimal_places: int | None
    examples: list[Any] | None
    example: Any | None
    openapi_examples: dict[str, Example] | None
    deprecated: DeprecatedMark | str | bool | None
    include_in_schema: bool
    json_schema_extra: dict[str, Any] | Callable[[dict[str, Any]], None] | None


class HeaderOptions(FieldOptions, total=False):
    """`FieldOptions` and the one keyword of headers."""

    convert_underscores: bool


class FormOptions(FieldOptions, total=False):
    """`FieldOptions` and the keyword that forms and files add."""

    media_type: str


class BodyOptions(FormOptions, total=False):
    """`FieldOptions` and the two keywords that JSON bodies add."""

    embed: bool | None


class ParamFieldOptions(FieldOptions, total=False):
    """What the classes take beyond the functions: the annotation."""

    annotation: Any | None


class HeaderFieldOptions(HeaderOptions, ParamFieldOptions, total=False):
    """Options of the class `Header`."""


class FormFieldOptions(FormOptions, ParamFieldOptions, total=False):
    """Options of the classes `Form` and `File`."""


class BodyFieldOptions(BodyOptions, ParamFieldOptions, total=False):
    """Options of the class `Body`."""


# In the order in which signatures show them. `_Unset` means: pydantic is not told about the option at all.
_DEFAULTS: dict[str, Any] = {
    "default_factory": _Unset,
    "annotation": None,
    "alias": _Unset,
    "alias_priority": _Unset,
    "validation_alias": _Unset,
    "serialization_alias": _Unset,
    "title": _Unset,
    "description": _Unset,
    "gt": None,
    "ge": None,
    "lt": None,
    "le": None,
    "min_length": None,
    "max_length": None,
    "pattern": None,
    "regex": None,
    "discriminator": _Unset,
    "strict": _Unset,
    "validate_default": _Unset,
    "union_mode": _Unset,
    "fail_fast": _Unset,
    "multiple_of": _Unset,
    "allow_inf_nan": _Unset,
    "max_digits": _Unset,
    "decimal_places": _Unset,
    "examples": _Unset,
    "example": _Unset,
    "openapi_examples": None,
    "deprecated": _Unset,
    "include_in_schema": True,
    "json_schema_extra": _Unset,
}

# What pydantic gets, in the order that decides the order of constraints before pydantic 2.14.
_TO_PYDANTIC = (
    "default_factory",
    "alias",
    "title",
    "description",
    "examples",
    "gt",
    "ge",
    "lt",
    "le",
    "min_length",
    "max_length",
    "discriminator",
    "validate_default",
    "union_mode",
    "fail_fast",
    "multiple_of",
    "allow_inf_nan",
    "max_digits",
    "decimal_places",
    "deprecated",
    "annotation",
    "alias_priority",
    "validation_alias",
    "serialization_alias",
    "strict",
    "json_schema_extra",
    "pattern",
)
_PYDANTIC_DEFAULTS = {name: _DEFAULTS[name] for name in _TO_PYDANTIC if _DEFAULTS[name] is not _Unset}

_TYPES: dict[str, Any] = {
    name: getattr(annotation, "__forward_arg__", annotation)
    for options in (BodyFieldOptions, HeaderFieldOptions)
    for name, annotation in options.__annotations__.items()
}


def field_signature(
    default: Any,
    extra: Mapping[str, Any] | None = None,
    *,
    after: str = "default_factory",
    receiver: bool = False,
    annotation: bool = False,
) -> Callable[[_F], _F]:
    """Make the decorator that gives a `**options` function the signature its options stand for.

    Args:
        default: Default of the parameter `default`.
        extra: Further keywords with their defaults.
        after: The keyword behind which `extra` is shown.
        receiver: Whether the function takes `self`.
        annotation: Whether the function takes `annotation`.
    """
    options: dict[str, Any] = {}
    for name, value in _DEFAULTS.items():
        if name != "annotation" or annotation:
            options[name] = value
        if name == after and extra:
            options.update(extra)
    parameters = [Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)] if receiver else []
    parameters.append(Parameter("default", Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=Any))
    parameters += [
        Parameter(name, Parameter.KEYWORD_ONLY, default=value, annotation=_TYPES[name])
        for name, value in options.items()
    ]

    def apply(function: _F) -> _F:
        returns = None if receiver else Any
        function.__signature__ = Signature(parameters, return_annotation=returns)  # type: ignore[attr-defined]
        return function

    return apply


def _warn(message: str) -> None:
    """Warn at the line outside of the declaration modules from which a declaration was made."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__") in {__name__, "forzium.param_functions"}:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category=FastAPIDeprecationWarning, stacklevel=level)


# pydantic marks `FieldInfo` as final, and supports exactly these subclasses of it: hence the `misc` below.
class _Declaration(FieldInfo):  # type: ignore[misc]
    """What parameters and bodies share: pydantic's field description and the notes for the OpenAPI document."""

    example: Any
    include_in_schema: bool
    openapi_examples: dict[str, Example] | None

    def _declare(self, default: Any, options: Mapping[str, Any]) -> None:
        """Set the attributes that pydantic does not know, and hand the rest to pydantic.

        Raises:
            TypeError: An option has a name that no declaration takes.
        """
        for name in options:
            if name not in _DEFAULTS:
                raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument {name!r}")
        given = {name: value for name, value in options.items() if value is not _Unset}
        self.example = given.get("example", _Unset)
        if self.example is not _Unset:
            _warn("`example` has been deprecated, please use `examples` instead")
        self.include_in_schema = given.get("include_in_schema", True)
        self.openapi_examples = given.get("openapi_examples")
        regex = given.get("regex")
        if regex is not None:
            _warn("`regex` has been deprecated, please use `pattern` instead")
        given["pattern"] = given.get("pattern") or regex
        alias = given.get("alias", _Unset)
        if given.get("serialization_alias") is None and isinstance(alias, str):
            given["serialization_alias"] = alias
        if given.get("validation_alias") is None:
            given["validation_alias"] = alias
        told: dict[str, Any] = {"default": default} if default is not _Unset else {}
        for name in _TO_PYDANTIC:
            value = given.get(name, _PYDANTIC_DEFAULTS.get(name, _Unset))
            if value is not _Unset:
                told[name] = value
        FieldInfo.__init__(self, **told)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.default})"


class Param(_Declaration):  # type: ignore[misc]
    """A parameter from the path, the query string, a header or a cookie.

    Source: FastAPI, `params.Param`.
    """

    in_: ParamTypes

    @field_signature(Undefined, receiver=True, annotation=True)
    def __init__(self, default: Any = Undefined, **options: Unpack[ParamFieldOptions]) -> None:
        self._declare(default, options)


class Path(Param):  # type: ignore[misc]
    """A parameter from the path. It is always required.

    Raises:
        AssertionError: A default is given.
    """

    in_ = ParamTypes.path

    @field_signature(..., receiver=True, annotation=True)
    def __init__(self, default: Any = ..., **options: Unpack[ParamFieldOptions]) -> None:
        if default is not ...:
            raise AssertionError("Path parameters cannot have a default value")
        self._declare(default, options)


class Query(Param):  # type: ignore[misc]
    """A parameter from the query string; a list takes every value of the name, a model one parameter a field."""

    in_ = ParamTypes.query


class Header(Param):  # type: ignore[misc]
    """A parameter from a header. `convert_underscores` (default: yes) reads `x_token` from `x-token`."""

    in_ = ParamTypes.header
    convert_underscores: bool

    @field_signature(
        Undefined, {"convert_underscores": True}, after="serialization_alias", receiver=True, annotation=True
    )
    def __init__(self, default: Any = Undefined, **options: Unpack[HeaderFieldOptions]) -> None:
        self.convert_underscores = options.pop("convert_underscores", True)
        self._declare(default, options)


class Cookie(Param):  # type: ignore[misc]
    """A parameter from a cookie."""

    in_ = ParamTypes.cookie


class Body(_Declaration):  # type: ignore[misc]
    """The request's body, or with `embed` (or next to other bodies) one key of it.

    Source: FastAPI, `params.Body`.
    """

    embed: bool | None
    media_type: str

    @field_signature(
        Undefined,
        {"embed": None, "media_type": "application/json"},
        after="annotation",
        receiver=True,
        annotation=True,
    )
    def __init__(self, default: Any = Undefined, **options: Unpack[BodyFieldOptions]) -> None:
        self.embed = options.pop("embed", None)
        self.media_type = options.pop("media_type", "application/json")
        self._declare(default, options)


class Form(Body):  # type: ignore[misc]
    """A field of a form, or a model whose fields are the form's."""

    @field_signature(
        Undefined,
        {"media_type": "application/x-www-form-urlencoded"},
        after="annotation",
        receiver=True,
        annotation=True,
    )
    def __init__(self, default: Any = Undefined, **options: Unpack[FormFieldOptions]) -> None:
        options.setdefault("media_type", "application/x-www-form-urlencoded")
        _refuse_embed(self, options)
        super().__init__(default, **options)


class File(Form):  # type: ignore[misc]
    """A file of a multipart form, as `bytes` or as `UploadFile`."""

    @field_signature(
        Undefined, {"media_type": "multipart/form-data"}, after="annotation", receiver=True, annotation=True
    )
    def __init__(self, default: Any = Undefined, **options: Unpack[FormFieldOptions]) -> None:
        options.setdefault("media_type", "multipart/form-data")
        super().__init__(default, **options)


def _refuse_embed(declaration: FieldInfo, options: Mapping[str, Any]) -> None:
    if "embed" in options:
        raise TypeError(f"{type(declaration).__name__}.__init__() got an unexpected keyword argument 'embed'")


@dataclass(frozen=True)
class Depends:
    """A value that another callable makes.

    Attributes:
        dependency: The callable; without it the annotation of the parameter is called.
        use_cache: Whether one request calls it once only. Default is true.
        scope: When the part behind its `yield` runs: `"function"`, before the response is sent, or `"request"`, after.
            Default is none: `"request"` for generators. `"lifespan"`, which is forzium's own: it is made once, when the
            application has started, and all requests share it until the application stops.
        max_concurrency: How many requests may hold it at once, per event loop. Default is none: any number.

    Raises:
        ValueError: `max_concurrency` is not a positive integer; or what lasts for the lifespan is asked for with what
            belongs to a request: without the cache, with a limit or with OAuth2 scopes.

    Source: FastAPI, `params.Depends`.
    """

    dependency: Callable[..., Any] | None = None
    use_cache: bool = True
    scope: Literal["function", "request", "lifespan"] | None = None
    max_concurrency: int | None = field(default=None, kw_only=True)
    # Also what tells two limited declarations with equal values apart, and what copies of one declaration share.
    _concurrency: _DependencyConcurrency | None = field(default=None, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        limit, counter = self.max_concurrency, self._concurrency
        if limit is None:
            counter = None
        elif type(limit) is not int or limit < 1:
            raise ValueError("max_concurrency must be a positive integer or None")
        elif counter is None or counter.max_concurrency != limit:
            counter = _DependencyConcurrency(limit)
        object.__setattr__(self, "_concurrency", counter)
        if self.scope == "lifespan":
            self._check_lasting()

    # Whether any declaration of this process has asked for it: without one, no application looks for them.
    _any_lasting: ClassVar[bool] = False

    def _check_lasting(self) -> None:
        Depends._any_lasting = True
        for given, name, instead in (
            (not self.use_cache, "use_cache=False", "depend on two functions to get two values"),
            (self.max_concurrency is not None, "max_concurrency", "limit a dependency of the requests that takes it"),
            (bool(getattr(self, "scopes", None)), "scopes", "ask for them in a dependency of the requests"),
        ):
            if given:
                raise ValueError(
                    f'{name} cannot be combined with scope="lifespan": all requests share one value\n  {instead}'
                )


@dataclass(frozen=True)
class Security(Depends):
    """A dependency that asks for OAuth2 scopes, which it and what it depends on see as `SecurityScopes`."""

    scopes: Sequence[str] | None = None
