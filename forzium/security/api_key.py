"""API keys in a query parameter, a header or a cookie.

Layer: ``security.base``, ``requests``, ``exceptions``. Not for checking a key: the scheme hands over what the client
sent.
"""

from typing import TYPE_CHECKING

from forzium.exceptions import StarletteHTTPException as HTTPException
from forzium.requests import HTTPConnection
from forzium.security.base import SecurityBase
from forzium.status import HTTP_401_UNAUTHORIZED

if TYPE_CHECKING:
    from forzium.openapi.models import APIKey, APIKeyIn


class APIKeyBase(SecurityBase):
    """What the three places of an API key have in common.

    Args:
        location: Where the client sends the key.
        name: Name of the parameter, header or cookie.
        description: Text for the document.
        scheme_name: Key in the document's security schemes; None means the name of the class.
        auto_error: Whether a missing or empty key answers 401; if not, the dependency's value is None.

    Source: OpenAPI 3.1, Security Scheme Object, type ``apiKey``.
    """

    model: "APIKey"

    def __init__(
        self, location: "APIKeyIn", name: str, description: str | None, scheme_name: str | None, auto_error: bool
    ) -> None:
        from forzium.openapi.models import APIKey

        self.model = APIKey.model_validate({"in": location, "name": name, "description": description})
        self.scheme_name = scheme_name or type(self).__name__
        self.auto_error = auto_error

    def make_not_authenticated_error(self) -> HTTPException:
        """The exception for a missing key: 401. Override it to answer in another way.

        RFC 9110 demands a challenge with every 401; no scheme for API keys is registered, so FastAPI's ``APIKey`` is
        used.
        """
        return HTTPException(
            status_code=HTTP_401_UNAUTHORIZED, detail="Not authenticated", headers={"WWW-Authenticate": "APIKey"}
        )

    def check_api_key(self, api_key: str | None) -> str | None:
        """Return a key that is not empty; otherwise None.

        Raises:
            HTTPException: There is no key and `auto_error` is set.
        """
        if api_key:
            return api_key
        if self.auto_error:
            raise self.make_not_authenticated_error()
        return None


class APIKeyQuery(APIKeyBase):
    """An API key in a query parameter. Its value as a dependency is the key.

    Args:
        name: Name of the query parameter.
        scheme_name: Key in the document's security schemes. Default is the name of the class.
        description: Text for the document. Default is none.
        auto_error: Whether a missing key answers 401 (default) or gives None.
    """

    def __init__(
        self, *, name: str, scheme_name: str | None = None, description: str | None = None, auto_error: bool = True
    ) -> None:
        from forzium.openapi.models import APIKeyIn

        super().__init__(APIKeyIn.query, name, description, scheme_name, auto_error)

    async def __call__(self, request: HTTPConnection) -> str | None:
        return self.check_api_key(request.query_params.get(self.model.name))


class APIKeyHeader(APIKeyBase):
    """An API key in a header. Its value as a dependency is the key.

    Args:
        name: Name of the header, in any case.
        scheme_name: Key in the document's security schemes. Default is the name of the class.
        description: Text for the document. Default is none.
        auto_error: Whether a missing key answers 401 (default) or gives None.
    """

    def __init__(
        self, *, name: str, scheme_name: str | None = None, description: str | None = None, auto_error: bool = True
    ) -> None:
        from forzium.openapi.models import APIKeyIn

        super().__init__(APIKeyIn.header, name, description, scheme_name, auto_error)

    async def __call__(self, request: HTTPConnection) -> str | None:
        return self.check_api_key(request.headers.get(self.model.name))


class APIKeyCookie(APIKeyBase):
    """An API key in a cookie. Its value as a dependency is the key.

    Args:
        name: Name of the cookie.
        scheme_name: Key in the document's security schemes. Default is the name of the class.
        description: Text for the document. Default is none.
        auto_error: Whether a missing key answers 401 (default) or gives None.
    """

    def __init__(
        self, *, name: str, scheme_name: str | None = None, description: str | None = None, auto_error: bool = True
    ) -> None:
        from forzium.openapi.models import APIKeyIn

        super().__init__(APIKeyIn.cookie, name, description, scheme_name, auto_error)

    async def __call__(self, request: HTTPConnection) -> str | None:
        return self.check_api_key(request.cookies.get(self.model.name))
