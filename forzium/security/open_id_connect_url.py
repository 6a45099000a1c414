"""OpenID Connect, as far as the document goes: where the provider's configuration is found.

Layer: ``security.base``, ``requests``, ``exceptions``. Not a client of the provider: tokens are the application's to
check.
"""

from typing import TYPE_CHECKING

from forzium.exceptions import StarletteHTTPException as HTTPException
from forzium.requests import HTTPConnection
from forzium.security.base import SecurityBase
from forzium.status import HTTP_401_UNAUTHORIZED

if TYPE_CHECKING:
    from forzium.openapi.models import OpenIdConnect as OpenIdConnectModel


class OpenIdConnect(SecurityBase):
    """OpenID Connect. Its value as a dependency is the whole ``Authorization`` header.

    Args:
        openIdConnectUrl: URL of the provider's discovery document.
        scheme_name: Key in the document's security schemes. Default is the name of the class.
        description: Text for the document. Default is none.
        auto_error: Whether a missing header answers 401 (default) or gives None.

    Source: OpenAPI 3.1, Security Scheme Object, type ``openIdConnect``.
    """

    model: "OpenIdConnectModel"

    def __init__(
        self,
        *,
        openIdConnectUrl: str,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        from forzium.openapi.models import OpenIdConnect as OpenIdConnectModel

        self.model = OpenIdConnectModel(openIdConnectUrl=openIdConnectUrl, description=description)
        self.scheme_name = scheme_name or type(self).__name__
        self.auto_error = auto_error

    def make_not_authenticated_error(self) -> HTTPException:
        """The exception for a missing header: 401 with the challenge ``Bearer``. Override it to answer otherwise."""
        return HTTPException(
            status_code=HTTP_401_UNAUTHORIZED, detail="Not authenticated", headers={"WWW-Authenticate": "Bearer"}
        )

    async def __call__(self, request: HTTPConnection) -> str | None:
        authorization: str | None = request.headers.get("Authorization")
        if authorization:
            return authorization
        if self.auto_error:
            raise self.make_not_authenticated_error()
        return None
