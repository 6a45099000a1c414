"""Security schemes: dependencies that take credentials from a request and describe themselves in OpenAPI.

Layer: above ``requests``, ``exceptions`` and ``param_functions``; below ``dependencies``. The schemes read what the
client sent. They do not know users, verify passwords or decode tokens: that is the application's part, in its own
dependencies, and where it compares secrets there it should use `secrets.compare_digest`.

The schemes are imported when first used: every application asks whether a dependency is one of them, few have one.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api_key import APIKeyCookie, APIKeyHeader, APIKeyQuery
    from .http import HTTPAuthorizationCredentials, HTTPBasic, HTTPBasicCredentials, HTTPBearer, HTTPDigest
    from .oauth2 import (
        OAuth2,
        OAuth2AuthorizationCodeBearer,
        OAuth2PasswordBearer,
        OAuth2PasswordRequestForm,
        OAuth2PasswordRequestFormStrict,
        SecurityScopes,
    )
    from .open_id_connect_url import OpenIdConnect

__all__ = [
    "APIKeyCookie",
    "APIKeyHeader",
    "APIKeyQuery",
    "HTTPAuthorizationCredentials",
    "HTTPBasic",
    "HTTPBasicCredentials",
    "HTTPBearer",
    "HTTPDigest",
    "OAuth2",
    "OAuth2AuthorizationCodeBearer",
    "OAuth2PasswordBearer",
    "OAuth2PasswordRequestForm",
    "OAuth2PasswordRequestFormStrict",
    "OpenIdConnect",
    "SecurityScopes",
]

_MODULES = ("api_key", "http", "oauth2", "open_id_connect_url")


def __getattr__(name: str) -> Any:
    if name in __all__ or name in _MODULES:
        import importlib

        for module in _MODULES:
            # Importing a module makes it an attribute of its package, too.
            found = vars(importlib.import_module(f"{__name__}.{module}"))
            globals().update({each: found[each] for each in __all__ if each in found})
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
