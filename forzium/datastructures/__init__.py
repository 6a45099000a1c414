"""Headers, query parameters, forms, URLs, uploads, state: what requests and responses are made of.

Layer: above `forzium.types`, `forzium.exceptions` and `forzium._utils`, below requests and responses.
Not for: anything that receives or sends.

Source: `starlette.datastructures` and `fastapi.datastructures`. The base of `UploadFile` is `StarletteUploadFile`.
"""

from forzium.datastructures.headers import Headers, MutableHeaders
from forzium.datastructures.multidict import FormData, ImmutableMultiDict, MultiDict, QueryParams
from forzium.datastructures.settings import CommaSeparatedStrings, Secret
from forzium.datastructures.state import Default, DefaultPlaceholder, DefaultType, State
from forzium.datastructures.state import _Unset as _Unset
from forzium.datastructures.upload import UploadFile as StarletteUploadFile
from forzium.datastructures.upload_param import UploadFile
from forzium.datastructures.url import URL, Address, URLPath

__all__ = [
    "URL",
    "Address",
    "CommaSeparatedStrings",
    "Default",
    "DefaultPlaceholder",
    "DefaultType",
    "FormData",
    "Headers",
    "ImmutableMultiDict",
    "MultiDict",
    "MutableHeaders",
    "QueryParams",
    "Secret",
    "StarletteUploadFile",
    "State",
    "URLPath",
    "UploadFile",
]
