"""The functions that users declare arguments with; each makes the class of its name in `forzium.params`.

Layer: `forzium.params`. They return `Any`, so that `q: str = Query()` satisfies a type checker; that is all they add.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Unpack

from forzium import params
from forzium._fields import Undefined
from forzium.params import BodyOptions, FieldOptions, FormOptions, HeaderOptions, field_signature


@field_signature(...)
def Path(default: Any = ..., **options: Unpack[FieldOptions]) -> Any:
    """Declare a path parameter. It is required, so `default` can only be `...`.

    Raises:
        AssertionError: Another default is given.

    Source: FastAPI, `Path`.
    """
    return params.Path(default, **options)


@field_signature(Undefined)
def Query(default: Any = Undefined, **options: Unpack[FieldOptions]) -> Any:
    """Declare a query parameter; without a default it is required.

    Source: FastAPI, `Query`.
    """
    return params.Query(default, **options)


@field_signature(Undefined, {"convert_underscores": True}, after="serialization_alias")
def Header(default: Any = Undefined, **options: Unpack[HeaderOptions]) -> Any:
    """Declare a header parameter. Default is to read `user_agent` from `user-agent` (`convert_underscores`).

    Source: FastAPI, `Header`.
    """
    return params.Header(default, **options)


@field_signature(Undefined)
def Cookie(default: Any = Undefined, **options: Unpack[FieldOptions]) -> Any:
    """Declare a cookie parameter; without a default it is required.

    Source: FastAPI, `Cookie`.
    """
    return params.Cookie(default, **options)


@field_signature(Undefined, {"embed": None, "media_type": "application/json"})
def Body(default: Any = Undefined, **options: Unpack[BodyOptions]) -> Any:
    """Declare a body. `embed` expects it under a key of its name; default is so only next to other bodies.

    Source: FastAPI, `Body`.
    """
    return params.Body(default, **options)


@field_signature(Undefined, {"media_type": "application/x-www-form-urlencoded"})
def Form(default: Any = Undefined, **options: Unpack[FormOptions]) -> Any:
    """Declare a form field, or with a model a whole form.

    Source: FastAPI, `Form`.
    """
    return params.Form(default, **options)


@field_signature(Undefined, {"media_type": "multipart/form-data"})
def File(default: Any = Undefined, **options: Unpack[FormOptions]) -> Any:
    """Declare an uploaded file, as `bytes` or `UploadFile`, or several of them.

    Source: FastAPI, `File`.
    """
    return params.File(default, **options)


def Depends(
    dependency: Callable[..., Any] | None = None,
    *,
    use_cache: bool = True,
    scope: Literal["function", "request", "lifespan"] | None = None,
    max_concurrency: int | None = None,
) -> Any:
    """Declare that an argument is what `dependency` returns or yields; see `forzium.params.Depends`.

    Raises:
        ValueError: `max_concurrency` is not a positive integer; or `scope="lifespan"` is given with it or without the
            cache.

    Source: FastAPI, `Depends`.
    """
    return params.Depends(dependency=dependency, use_cache=use_cache, scope=scope, max_concurrency=max_concurrency)


def Security(
    dependency: Callable[..., Any] | None = None,
    *,
    scopes: Sequence[str] | None = None,
    use_cache: bool = True,
) -> Any:
    """Declare a dependency that needs the OAuth2 `scopes`; see `forzium.params.Security`.

    Source: FastAPI, `Security`.
    """
    return params.Security(dependency=dependency, scopes=scopes, use_cache=use_cache)
