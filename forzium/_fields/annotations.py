"""Questions about annotations: is it a sequence, a scalar, bytes, a file, a model of pydantic 1?

Layer: `forzium.datastructures` (for `UploadFile`) and pydantic's `BaseModel`. Pure functions of the annotation; what a
field does with the answer is decided elsewhere.

Source: FastAPI, the rules by which a parameter without a declaration is given its place.
"""

from __future__ import annotations

import sys
import types
import typing
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Annotated, Any, TypeGuard, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.version import VERSION

from forzium.datastructures import StarletteUploadFile

_T = TypeVar("_T")

PYDANTIC_VERSION_MINOR_TUPLE = tuple(int(part) for part in VERSION.split(".")[:2])

WithArgsTypes: tuple[Any, ...] = (
    typing._GenericAlias,  # type: ignore[attr-defined]
    types.GenericAlias,
    types.UnionType,
)

sequence_annotation_to_type: dict[type[Any], type[Any]] = {
    Sequence: list,
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    deque: deque,
}
sequence_types: tuple[type[Any], ...] = tuple(sequence_annotation_to_type)

_UNION_ORIGINS = (Union, types.UnionType)


def is_union(annotation: object) -> bool:
    """Tell whether the annotation is `Union[...]`, `Optional[...]` or `X | Y`."""
    return get_origin(annotation) in _UNION_ORIGINS


def lenient_issubclass(cls: Any, class_or_tuple: type[_T] | tuple[type[_T], ...] | None) -> TypeGuard[type[_T]]:
    """Like `issubclass`, but false for everything that is not a class.

    Raises:
        TypeError: `class_or_tuple` is not a class or tuple of classes.
    """
    if not isinstance(cls, type):
        return False
    try:
        return issubclass(cls, class_or_tuple)  # type: ignore[arg-type]
    except TypeError:
        if isinstance(cls, WithArgsTypes):
            return False
        raise


def _is_sequence_class(annotation: object) -> bool:
    return lenient_issubclass(annotation, sequence_types) and not lenient_issubclass(annotation, (str, bytes))


def field_annotation_is_sequence(annotation: object) -> bool:
    """Tell whether values are collected into a list: a sequence or set, or a union with one (not `str`, `bytes`)."""
    origin = get_origin(annotation)
    if origin is None:
        return _is_sequence_class(annotation)
    if origin is Annotated:
        return field_annotation_is_sequence(get_args(annotation)[0])
    if origin in _UNION_ORIGINS:
        return any(field_annotation_is_sequence(member) for member in get_args(annotation))
    return _is_sequence_class(annotation) or _is_sequence_class(origin)


def value_is_sequence(value: Any) -> bool:
    """Tell whether a value is a sequence or set and not a string."""
    return isinstance(value, sequence_types) and not isinstance(value, (str, bytes))


def _is_complex_class(annotation: object) -> bool:
    return (
        lenient_issubclass(annotation, (BaseModel, Mapping, StarletteUploadFile))
        or _is_sequence_class(annotation)
        or is_dataclass(annotation)
    )


def field_annotation_is_complex(annotation: object) -> bool:
    """Tell whether a value needs more than one string: a model, mapping, sequence, file, or a union with one."""
    origin = get_origin(annotation)
    if origin is None:
        return _is_complex_class(annotation)
    if origin in _UNION_ORIGINS:
        return any(field_annotation_is_complex(member) for member in get_args(annotation))
    if origin is Annotated:
        return field_annotation_is_complex(get_args(annotation)[0])
    return (
        _is_complex_class(annotation)
        or _is_complex_class(origin)
        or hasattr(origin, "__pydantic_core_schema__")
        or hasattr(origin, "__get_pydantic_core_schema__")
    )


def field_annotation_is_scalar(annotation: Any) -> bool:
    """Tell whether a value fits in one string. `...` counts as such."""
    return annotation is Ellipsis or not field_annotation_is_complex(annotation)


def field_annotation_is_scalar_sequence(annotation: object) -> bool:
    """Tell whether values are a sequence of scalars; in a union scalars may stand beside, but nothing else."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return field_annotation_is_scalar_sequence(get_args(annotation)[0])
    if origin in _UNION_ORIGINS:
        members = get_args(annotation)
        sequences = [member for member in members if field_annotation_is_scalar_sequence(member)]
        rest = [member for member in members if not field_annotation_is_scalar_sequence(member)]
        return bool(sequences) and all(field_annotation_is_scalar(member) for member in rest)
    return field_annotation_is_sequence(annotation) and all(
        field_annotation_is_scalar(member) for member in get_args(annotation)
    )


def _is_or_may_be(annotation: Any, cls: type[Any]) -> bool:
    if lenient_issubclass(annotation, cls):
        return True
    return is_union(annotation) and any(lenient_issubclass(member, cls) for member in get_args(annotation))


def _is_sequence_of(annotation: Any, accepts: Callable[[Any], bool]) -> bool:
    if is_union(annotation):
        return any(_is_sequence_of(member, accepts) for member in get_args(annotation))
    return field_annotation_is_sequence(annotation) and all(accepts(member) for member in get_args(annotation))


def is_bytes_or_nonable_bytes_annotation(annotation: Any) -> bool:
    """Tell whether the annotation is `bytes` or a union with it."""
    return _is_or_may_be(annotation, bytes)


def is_uploadfile_or_nonable_uploadfile_annotation(annotation: Any) -> bool:
    """Tell whether the annotation is `UploadFile` or a union with it."""
    return _is_or_may_be(annotation, StarletteUploadFile)


def is_bytes_sequence_annotation(annotation: Any) -> bool:
    """Tell whether the annotation is a sequence of `bytes`, or a union with one."""
    return _is_sequence_of(annotation, is_bytes_or_nonable_bytes_annotation)


def is_uploadfile_sequence_annotation(annotation: Any) -> bool:
    """Tell whether the annotation is a sequence of `UploadFile`, or a union with one."""
    return _is_sequence_of(annotation, is_uploadfile_or_nonable_uploadfile_annotation)


def _pydantic_v1_model() -> type[Any] | None:
    # Importing `pydantic.v1` is slow and warns on new Pythons; nobody has a model of it who did not import it.
    module = sys.modules.get("pydantic.v1.main")
    return getattr(module, "BaseModel", None)


def is_pydantic_v1_model_instance(obj: Any) -> bool:
    """Tell whether the object is an instance of a `pydantic.v1` model."""
    base = _pydantic_v1_model()
    return base is not None and isinstance(obj, base)


def is_pydantic_v1_model_class(cls: Any) -> bool:
    """Tell whether the class is a `pydantic.v1` model."""
    base = _pydantic_v1_model()
    return base is not None and lenient_issubclass(cls, base)


def annotation_is_pydantic_v1(annotation: Any) -> bool:
    """Tell whether the annotation is or contains a `pydantic.v1` model."""
    if _pydantic_v1_model() is None:
        return False
    if is_pydantic_v1_model_class(annotation):
        return True
    members = get_args(annotation)
    if is_union(annotation) and any(is_pydantic_v1_model_class(member) for member in members):
        return True
    return field_annotation_is_sequence(annotation) and any(annotation_is_pydantic_v1(member) for member in members)
