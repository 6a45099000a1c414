"""Uploaded files, as parameters of endpoints are annotated.

Layer: `forzium.datastructures`, on `upload`.
Not for: reading forms; a form holds the base class.

Source: `fastapi.UploadFile`.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from forzium.datastructures.headers import Headers
from forzium.datastructures.upload import UploadFile as StarletteUploadFile

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler

__all__ = ["UploadFile"]


class UploadFile(StarletteUploadFile):
    """A file of a form, as a parameter of an endpoint is annotated.

    Example:
        >>> from forzium import FastAPI, UploadFile
        >>> app = FastAPI()
        >>> @app.post("/file")
        ... async def take(file: UploadFile):
        ...     return {"name": file.filename, "size": len(await file.read())}

    Source: `fastapi.UploadFile`.
    """

    file: BinaryIO
    filename: str | None
    size: int | None
    headers: Headers
    content_type: str | None

    @classmethod
    def _validate(cls, value: Any, _: Any) -> "UploadFile":
        if not isinstance(value, StarletteUploadFile):
            raise ValueError(f"Expected UploadFile, received: {type(value)}")
        return cast(UploadFile, value)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: Mapping[str, Any], handler: "GetJsonSchemaHandler"
    ) -> dict[str, Any]:
        return {"type": "string", "contentMediaType": "application/octet-stream"}

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: Callable[[Any], Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        from pydantic_core.core_schema import with_info_plain_validator_function

        return cast(Mapping[str, Any], with_info_plain_validator_function(cls._validate))
