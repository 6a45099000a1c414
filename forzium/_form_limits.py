"""Limits of the forms that are read for `Form`, `File` and `UploadFile` parameters.

Stands on pydantic alone. The limits of `Request.form` itself are its parameters.

Source: FastAPI 0.165 `form_limits=`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, NonNegativeInt
from typing_extensions import TypedDict

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["FormLimits", "validate_form_limits"]


class _FormLimits(TypedDict, total=False):
    """Limits of a form; one that is not named is inherited, or else that of `Request.form`."""

    max_fields: Annotated[NonNegativeInt, "Most fields that are not files."]
    max_files: Annotated[NonNegativeInt, "Most files of a multipart form."]
    max_part_size: Annotated[NonNegativeInt, "Most bytes of a field that is not a file."]


_FormLimits.__pydantic_config__ = ConfigDict(strict=True, extra="forbid")  # type: ignore[attr-defined]

FormLimits = _FormLimits


@cache
def _adapter() -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(_FormLimits)


def validate_form_limits(limits: FormLimits | None) -> FormLimits:
    """Check limits as a user gave them; none of them is an empty dict.

    Raises:
        pydantic.ValidationError: A limit has another name, or is not an integer of at least 0.
    """
    if limits is None:
        return {}
    checked: FormLimits = _adapter().validate_python(limits)
    return checked
