"""The schemes of the ``Authorization`` header: Basic, Bearer, Digest, and any other by name.

Layer: ``security.base``, ``security.utils``, ``requests``, ``exceptions``. Not for verifying passwords or tokens.
"""

from typing import TYPE_CHECKING

from pydantic import BaseModel

from forzium.exceptions import HTTPException
from forzium.requests import HTTPConnection
from forzium.security.base import SecurityBase
from forzium.security.utils import get_authorization_scheme_param
from forzium.status import HTTP_401_UNAUTHORIZED

if TYPE_CHECKING:
    from forzium.openapi.models import HTTPBase as HTTPBaseModel


class HTTPBasicCredentials(BaseModel):
    """What `HTTPBasic` gives. Compare both parts with `secrets.compare_digest`."""

    username: str
    password: str


class HTTPAuthorizationCredentials(BaseModel):
    """What the schemes other than Basic give: the two parts of ``Authorization: <scheme> <credentials>``."""

    scheme: str
    credentials: str


class HTTPBase(SecurityBase):
    """Any scheme of the ``Authorization`` header; the scheme the client names is not checked.

    Args:
        scheme: Name of the scheme, for the document and the challenge.
        scheme_name: Key in the document's security schemes. Default is the name of the class.
        description: Text for the document. Default is none.
        auto_error: Whether missing credentials answer 401 (default) or give None.

    Source: OpenAPI 3.1, Security Scheme Object, type ``http``; RFC 9110, section 11.
    """

    model: "HTTPBaseModel"

    def __init__(
        self,
        *,
        scheme: str,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        from forzium.openapi.models import HTTPBase as HTTPBaseModel

        self._describe(HTTPBaseModel(scheme=scheme, description=description), scheme_name, auto_error)

    def _describe(self, model: "HTTPBaseModel", scheme_name: str | None, auto_error: bool) -> None:
        self.model = model
        self.scheme_name = scheme_name or type(self).__name__
        self.auto_error = auto_error

    def make_authenticate_headers(self) -> dict[str, str]:
        """The headers of the 401: a challenge that names the scheme."""
        return {"WWW-Authenticate": self.model.scheme.title()}

    def make_not_authenticated_error(self) -> HTTPException:
        """The exception for missing or unusable credentials: 401 with a challenge. Override it to answer otherwise."""
        return HTTPException(
            status_code=HTTP_401_UNAUTHORIZED, detail="Not authenticated", headers=self.make_authenticate_headers()
        )

    def _missing(self) -> None:
        """Refuse the request, unless the scheme is optional."""
        if self.auto_error:
            raise self.make_not_authenticated_error()

    def _credentials(self, request: HTTPConnection, expected: str | None = None) -> HTTPAuthorizationCredentials | None:
        """Both parts of the header; None where one is missing or the scheme is not the `expected` one."""
        scheme, credentials = get_authorization_scheme_param(request.headers.get("Authorization"))
        if scheme and credentials and (expected is None or scheme.lower() == expected):
            return HTTPAuthorizationCredentials(scheme=scheme, credentials=credentials)
        self._missing()
        return None

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        return self._credentials(request)


class HTTPBasic(HTTPBase):
    """HTTP Basic authentication. Its value as a dependency is `HTTPBasicCredentials`.

    Args:
        scheme_name: Key in the document's security schemes. Default is the name of the class.
        realm: Name of the protected space, sent with the challenge. Default is none.
        description: Text for the document. Default is none.
        auto_error: Whether missing credentials answer 401 (default) or give None. Credentials that cannot be decoded
            answer 401 in either case.

    Source: RFC 7617. As in FastAPI the user name and the password are ASCII.
    """

    def __init__(
        self,
        *,
        scheme_name: str | None = None,
        realm: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        from forzium.openapi.models import HTTPBase as HTTPBaseModel

        self._describe(HTTPBaseModel(scheme="basic", description=description), scheme_name, auto_error)
        self.realm = realm

    def make_authenticate_headers(self) -> dict[str, str]:
        """The headers of the 401: the challenge, with the realm where there is one."""
        return {"WWW-Authenticate": f'Basic realm="{self.realm}"' if self.realm else "Basic"}

    async def __call__(  # type: ignore[override]  # as in FastAPI: Basic gives credentials of its own
        self, request: HTTPConnection
    ) -> HTTPBasicCredentials | None:
        from base64 import b64decode

        scheme, encoded = get_authorization_scheme_param(request.headers.get("Authorization"))
        if scheme.lower() != "basic":
            self._missing()
            return None
        try:
            decoded = b64decode(encoded).decode("ascii")
        except ValueError as error:  # binascii.Error and UnicodeDecodeError are ValueErrors
            raise self.make_not_authenticated_error() from error
        username, colon, password = decoded.partition(":")
        if not colon:
            raise self.make_not_authenticated_error()
        return HTTPBasicCredentials(username=username, password=password)


class HTTPBearer(HTTPBase):
    """A bearer token. Its value as a dependency is `HTTPAuthorizationCredentials`.

    Args:
        bearerFormat: How the token is formatted, for the document. Default is none.
        scheme_name: Key in the document's security schemes. Default is the name of the class.
        description: Text for the document. Default is none.
        auto_error: Whether a missing token or another scheme answers 401 (default) or gives None.

    Source: RFC 6750, section 2.1.
    """

    def __init__(
        self,
        *,
        bearerFormat: str | None = None,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        from forzium.openapi.models import HTTPBearer as HTTPBearerModel

        model = HTTPBearerModel(bearerFormat=bearerFormat, description=description)
        self._describe(model, scheme_name, auto_error)

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        return self._credentials(request, "bearer")


class HTTPDigest(HTTPBase):
    """HTTP Digest: the parts of the header. The digest itself is the application's to compute and compare.

    Args:
        scheme_name: Key in the document's security schemes. Default is the name of the class.
        description: Text for the document. Default is none.
        auto_error: Whether missing credentials or another scheme answer 401 (default) or give None.

    Source: RFC 7616.
    """

    def __init__(
        self, *, scheme_name: str | None = None, description: str | None = None, auto_error: bool = True
    ) -> None:
        from forzium.openapi.models import HTTPBase as HTTPBaseModel

        self._describe(HTTPBaseModel(scheme="digest", description=description), scheme_name, auto_error)

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        return self._credentials(request, "digest")
