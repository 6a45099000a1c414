"""JSON responses written by other libraries, kept as deprecated as they are in FastAPI.

Stands on ``base`` beside it; the libraries are optional and imported when first asked for.

Not for: anything new. A return type or a response model is written faster without them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, cast

from typing_extensions import deprecated

from forzium.exceptions import FastAPIDeprecationWarning
from forzium.responses.base import JSONResponse

_DEPRECATED = (
    "{} is deprecated, FastAPI now serializes data directly to JSON bytes via Pydantic when a return type or response "
    "model is set, which is faster and doesn't need a custom response class. Read more in the FastAPI docs: "
    "https://fastapi.tiangolo.com/advanced/custom-response/#orjson-or-response-model and "
    "https://fastapi.tiangolo.com/tutorial/response-model/"
)


@deprecated(_DEPRECATED.format("UJSONResponse"), category=FastAPIDeprecationWarning, stacklevel=2)
class UJSONResponse(JSONResponse):
    """A `JSONResponse` written by ujson, which has to be installed.

    Deprecated: a return type or a response model is written without an extra class, and faster.
    """

    def render(self, content: Any) -> bytes:
        """Write the content as JSON with ujson."""
        ujson = codec("ujson")
        assert ujson is not None, "ujson must be installed to use UJSONResponse"
        return cast(bytes, ujson.dumps(content, ensure_ascii=False).encode("utf-8"))


@deprecated(_DEPRECATED.format("ORJSONResponse"), category=FastAPIDeprecationWarning, stacklevel=2)
class ORJSONResponse(JSONResponse):
    """A `JSONResponse` written by orjson, which has to be installed.

    Deprecated: a return type or a response model is written without an extra class, and faster.
    """

    def render(self, content: Any) -> bytes:
        """Write the content as JSON with orjson."""
        orjson = codec("orjson")
        assert orjson is not None, "orjson must be installed to use ORJSONResponse"
        return cast(bytes, orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY))


def codec(name: str) -> Any:
    """Give the optional module, or ``None``: ``forzium.responses.orjson``, which is imported when first asked for."""
    names = vars(sys.modules["forzium.responses"])
    if name not in names:
        try:
            names[name] = import_module(name)
        except ModuleNotFoundError:
            names[name] = None
    return names[name]
