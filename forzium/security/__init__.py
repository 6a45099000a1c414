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

_NAMES_OF = {
    "api_key": ("APIKeyCookie", "APIKeyHeader", "APIKeyQuery"),
    "http": ("HTTPAuthorizationCredentials", "HTTPBasic", "HTTPBasicCredentials", "HTTPBearer", "HTTPDigest"),
    "oauth2": (
        *("OAuth2", "OAuth2AuthorizationCodeBearer", "OAuth2PasswordBearer", "OAuth2PasswordRequestForm"),
        *("OAuth2PasswordRequestFormStrict", "SecurityScopes"),
    ),
    "open_id_connect_url": ("OpenIdConnect",),
}
_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _NAMES_OF:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _MODULE_OF:
        value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_NAMES_OF})
