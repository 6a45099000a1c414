"""`ModelField`: one declared value (parameter, body, response) with its name, aliases, default and pydantic adapter.

Layer: `forzium._fields.adapters` and pydantic. What a field may be (path, query, body …) is `forzium.params`; reading
its value out of a request is `forzium.dependencies`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic._internal import _typing_extra
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from forzium._fields.adapters import PendingAdapter, build_adapter, field_attributes, pending_adapter
from forzium._fields.annotations import (
    field_annotation_is_scalar,
    is_union,
    sequence_annotation_to_type,
    sequence_types,
)

if TYPE_CHECKING:
    from forzium.types import IncEx

Undefined = PydanticUndefined
RequiredParam = PydanticUndefined


@dataclass
class ModelField:
    """A value with a name, validated and serialized by pydantic.

    Two fields are the same dictionary key only if they are the same object.

    Attributes:
        field_info: The declaration: annotation, default, aliases, constraints.
        name: The name in Python.
        mode: Which of its two JSON schemas a model shows in the OpenAPI document. Default is `"validation"`.
        config: pydantic's configuration for the annotation. Default is none.

    Raises:
        PydanticSchemaGenerationError: pydantic cannot validate the annotation.

    Source: FastAPI, `_compat.ModelField`.
    """

    field_info: FieldInfo
    name: str
    mode: Literal["validation", "serialization"] = "validation"
    config: ConfigDict | None = None

    def __post_init__(self) -> None:
        self._pending: PendingAdapter | None = None if self.config else pending_adapter(self.field_info)
        if self._pending is None:
            self.__dict__["_type_adapter"] = self._build_adapter()

    @classmethod
    def unchecked(cls, *, field_info: FieldInfo, name: str, config: ConfigDict | None = None) -> Self:
        """Make a field without asking pydantic whether it can validate it; the adapter is built on first use."""
        field = cls.__new__(cls)
        field.field_info, field.name, field.mode, field.config = field_info, name, "validation", config
        field._pending = None
        return field

    def _build_adapter(self) -> TypeAdapter[Any]:
        info = self.field_info
        adapter: TypeAdapter[Any] = build_adapter(info.annotation, info.metadata, field_attributes(info), self.config)
        return adapter

    @cached_property
    def _type_adapter(self) -> TypeAdapter[Any]:
        return self._build_adapter() if self._pending is None else self._pending.build()

    @property
    def functions(self) -> tuple[Callable[..., Any], Callable[..., bytes]]:
        """What validates a value, and what writes a valid one as JSON: pydantic's own functions.

        Where a forward reference cannot be resolved yet, the adapter's, which look for it at every call.
        """
        adapter = self._type_adapter
        try:
            return adapter.validator.validate_python, adapter.serializer.to_json
        except PydanticUserError:
            return adapter.validate_python, adapter.dump_json

    @property
    def alias(self) -> str:
        """The declared alias, else the name."""
        declared = self.field_info.alias
        return self.name if declared is None else declared

    @property
    def validation_alias(self) -> str | None:
        """The alias for input, if it is one non-empty string."""
        declared = self.field_info.validation_alias
        return declared if declared and isinstance(declared, str) else None

    @property
    def serialization_alias(self) -> str | None:
        """The alias for output, if there is one."""
        return self.field_info.serialization_alias or None

    @property
    def default(self) -> Any:
        """The default, from the factory if there is one; `Undefined` for a required field."""
        return self.get_default()

    def get_default(self) -> Any:
        """Return the default, from the factory if there is one; `Undefined` for a required field."""
        info = self.field_info
        return Undefined if info.is_required() else info.get_default(call_default_factory=True)

    def validate(
        self,
        value: Any,
        values: dict[str, Any] = {},  # noqa: B006  (part of FastAPI's signature; never used)
        *,
        loc: tuple[int | str, ...] = (),
    ) -> tuple[Any, list[dict[str, Any]]]:
        """Validate a value.

        Returns:
            The validated value and no errors, or None and pydantic's errors, `loc` put before their own.
        """
        try:
            return self._type_adapter.validate_python(value, from_attributes=True), []
        except ValidationError as error:
            return None, located_errors(error.errors(include_url=False), loc)

    def serialize(
        self,
        value: Any,
        *,
        mode: Literal["json", "python"] = "json",
        include: IncEx | None = None,
        exclude: IncEx | None = None,
        by_alias: bool = True,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
    ) -> Any:
        """Serialize a value to plain Python objects, in `"json"` mode (the default) to such as JSON has."""
        return self._type_adapter.dump_python(
            value,
            mode=mode,
            include=include,
            exclude=exclude,
            by_alias=by_alias,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )

    def serialize_json(
        self,
        value: Any,
        *,
        include: IncEx | None = None,
        exclude: IncEx | None = None,
        by_alias: bool = True,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
    ) -> bytes:
        """Serialize a value to the bytes of a JSON document."""
        return self._type_adapter.dump_json(
            value,
            include=include,
            exclude=exclude,
            by_alias=by_alias,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )

    def __hash__(self) -> int:
        return id(self)


def located_errors(errors: Sequence[Any], loc: tuple[int | str, ...]) -> list[dict[str, Any]]:
    """Return copies of pydantic's errors with `loc` before their location."""
    return [{**error, "loc": loc + error.get("loc", ())} for error in errors]


def get_missing_field_error(loc: tuple[int | str, ...]) -> dict[str, Any]:
    """Return the error of a required value that is not there; its input is None."""
    (error,) = ValidationError.from_exception_data(
        "Field required", [{"type": "missing", "loc": loc, "input": {}}]
    ).errors(include_url=False)
    return {**error, "input": None}


def evaluate_forwardref(
    value: Any,
    globalns: dict[str, Any] | None = None,
    localns: dict[str, Any] | None = None,
) -> Any:
    """Evaluate a forward reference, or return it as it is while one of its names is not defined."""
    evaluate = getattr(_typing_extra, "try_eval_type", None)
    if evaluate is not None:
        return evaluate(value, globalns, localns)[0]
    return _typing_extra.eval_type_lenient(value, globalns, localns)  # pydantic < 2.10


def is_scalar_field(field: ModelField) -> bool:
    """Tell whether a field fits in one string and is no body."""
    from forzium import params

    return field_annotation_is_scalar(field.field_info.annotation) and not isinstance(field.field_info, params.Body)


def copy_field_info(*, field_info: FieldInfo, annotation: Any) -> FieldInfo:
    """Return a copy of a declaration that takes up what the other metadata of its `Annotated` says.

    Args:
        field_info: The declaration; its class and the attributes that pydantic does not know are kept.
        annotation: The whole annotation, `Annotated[...]`.
    """
    merged = type(field_info).from_annotation(annotation)
    result = copy(field_info)
    for name, value in field_attributes(merged).items():
        setattr(result, name, value)
    result._attributes_set = merged._attributes_set.copy()
    result.metadata = merged.metadata
    result.annotation = merged.annotation
    return result


def serialize_sequence_value(*, field: ModelField, value: Any) -> Sequence[Any]:
    """Convert a list to the kind of sequence that the field declares; the first member of a union decides."""
    annotation: Any = field.field_info.annotation
    kind = get_origin(annotation) or annotation
    if is_union(annotation):
        # Where all members are None the union itself stays, and the assertion below speaks.
        kind = next((get_origin(arm) or arm for arm in get_args(annotation) if arm is not type(None)), kind)
    assert issubclass(kind, sequence_types)
    converted: Sequence[Any] = sequence_annotation_to_type[kind](value)
    return converted
