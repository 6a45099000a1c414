"""OAuth2: the schemes of the document, the password flow's form, and the scopes a dependant asks for.

Layer: ``security.base``, ``security.utils``, ``param_functions``, ``requests``, ``exceptions``. Not an authorization
server: tokens are issued and verified by the application.
"""

from typing import TYPE_CHECKING, Annotated, Any

from forzium.exceptions import HTTPException
from forzium.param_functions import Form
from forzium.requests import HTTPConnection
from forzium.security.base import SecurityBase
from forzium.security.utils import get_authorization_scheme_param
from forzium.status import HTTP_401_UNAUTHORIZED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forzium.openapi.models import OAuth2 as OAuth2Model
    from forzium.openapi.models import OAuthFlows as OAuthFlowsModel

# No flow at all. Validated to an empty `OAuthFlows` when a scheme is made, so that the models are not imported before.
_NO_FLOWS: "Mapping[str, dict[str, Any]]" = {}


class OAuth2PasswordRequestForm:
    """The form of a password flow, used as ``Annotated[OAuth2PasswordRequestForm, Depends()]``.

    Attributes:
        grant_type: ``"password"``, or None where the client left it out (see the strict variant).
        username: The user's name.
        password: The user's password.
        scopes: The words of the field ``scope``.
        client_id: Optional; most clients send it in an ``Authorization: Basic`` header instead.
        client_secret: Optional, like `client_id`.

    Source: RFC 6749, section 4.3.2. The document shows ``password`` and ``client_secret`` with format ``password``.
    """

    def __init__(
        self,
        *,
        grant_type: Annotated[str | None, Form(pattern="^password$")] = None,
        username: Annotated[str, Form()],
        password: Annotated[str, Form(json_schema_extra={"format": "password"})],
        scope: Annotated[str, Form()] = "",
        client_id: Annotated[str | None, Form()] = None,
        client_secret: Annotated[str | None, Form(json_schema_extra={"format": "password"})] = None,
    ) -> None:
        self.grant_type = grant_type
        self.username = username
        self.password = password
        self.scopes = scope.split()
        self.client_id = client_id
        self.client_secret = client_secret


class OAuth2PasswordRequestFormStrict(OAuth2PasswordRequestForm):
    """The same form, with ``grant_type=password`` required, as the specification has it.

    Source: RFC 6749, section 4.3.2.
    """

    def __init__(
        self,
        grant_type: Annotated[str, Form(pattern="^password$")],
        username: Annotated[str, Form()],
        password: Annotated[str, Form()],
        scope: Annotated[str, Form()] = "",
        client_id: Annotated[str | None, Form()] = None,
        client_secret: Annotated[str | None, Form()] = None,
    ) -> None:
        super().__init__(
            grant_type=grant_type,
            username=username,
            password=password,
            scope=scope,
            client_id=client_id,
            client_secret=client_secret,
        )


class OAuth2(SecurityBase):
    """An OAuth2 scheme with any flows. Its value as a dependency is the whole ``Authorization`` header.

    Args:
        flows: An `OAuthFlows` model, or a dict of its form. Default is no flow.
        scheme_name: Key in the document's security schemes. Default is the name of the class.
        description: Text for the document. Default is none.
        auto_error: Whether a missing header answers 401 (default) or gives None.

    Raises:
        pydantic.ValidationError: `flows` has not the form of OpenAPI's OAuth Flows Object.

    Source: OpenAPI 3.1, OAuth Flows Object.
    """

    model: "OAuth2Model"

    def __init__(
        self,
        *,
        flows: "OAuthFlowsModel | Mapping[str, dict[str, Any]]" = _NO_FLOWS,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        from forzium.openapi.models import OAuth2 as OAuth2Model

        self.model = OAuth2Model.model_validate({"flows": flows, "description": description})
        self.scheme_name = scheme_name or type(self).__name__
        self.auto_error = auto_error

    def make_not_authenticated_error(self) -> HTTPException:
        """The exception for missing credentials: 401 with the challenge ``Bearer``. Override it to answer otherwise.

        The OAuth2 specification names no challenge; practically every OAuth2 server takes bearer tokens (RFC 6750).
        """
        return HTTPException(
            status_code=HTTP_401_UNAUTHORIZED, detail="Not authenticated", headers={"WWW-Authenticate": "Bearer"}
        )

    async def __call__(self, request: HTTPConnection) -> str | None:
        return self._required(request.headers.get("Authorization") or None)

    def _required(self, credentials: str | None) -> str | None:
        """Pass on what there is; refuse the request where there is nothing, unless the scheme is optional."""
        if credentials is None and self.auto_error:
            raise self.make_not_authenticated_error()
        return credentials

    def _bearer_token(self, request: HTTPConnection) -> str | None:
        """What follows ``Bearer`` (it may be empty, as in FastAPI)."""
        scheme, token = get_authorization_scheme_param(request.headers.get("Authorization"))
        return self._required(token if scheme.lower() == "bearer" else None)


class OAuth2PasswordBearer(OAuth2):
    """The password flow: its value as a dependency is the bearer token.

    Args:
        tokenUrl: URL of the path operation that takes `OAuth2PasswordRequestForm` and gives a token.
        scheme_name: Key in the document's security schemes. Default is the name of the class.
        scopes: Every scope that exists, with its description. Default is none.
        description: Text for the document. Default is none.
        auto_error: Whether a missing token or another scheme answers 401 (default) or gives None.
        refreshUrl: URL at which a token is renewed. Default is none.
    """

    def __init__(
        self,
        tokenUrl: str,
        scheme_name: str | None = None,
        scopes: dict[str, str] | None = None,
        description: str | None = None,
        auto_error: bool = True,
        refreshUrl: str | None = None,
    ) -> None:
        flow = {"tokenUrl": tokenUrl, "refreshUrl": refreshUrl, "scopes": scopes or {}}
        super().__init__(
            flows={"password": flow}, scheme_name=scheme_name, description=description, auto_error=auto_error
        )

    async def __call__(self, request: HTTPConnection) -> str | None:
        return self._bearer_token(request)


class OAuth2AuthorizationCodeBearer(OAuth2):
    """The authorization code flow: its value as a dependency is the bearer token.

    Args:
        authorizationUrl: URL at which the user grants access.
        tokenUrl: URL at which the code is exchanged for a token.
        refreshUrl: URL at which a token is renewed. Default is none.
        scheme_name: Key in the document's security schemes. Default is the name of the class.
        scopes: Every scope that exists, with its description. Default is none.
        description: Text for the document. Default is none.
        auto_error: Whether a missing token or another scheme answers 401 (default) or gives None.
    """

    def __init__(
        self,
        authorizationUrl: str,
        tokenUrl: str,
        refreshUrl: str | None = None,
        scheme_name: str | None = None,
        scopes: dict[str, str] | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        flow = {
            "authorizationUrl": authorizationUrl,
            "tokenUrl": tokenUrl,
            "refreshUrl": refreshUrl,
            "scopes": scopes or {},
        }
        super().__init__(
            flows={"authorizationCode": flow}, scheme_name=scheme_name, description=description, auto_error=auto_error
        )

    async def __call__(self, request: HTTPConnection) -> str | None:
        return self._bearer_token(request)


class SecurityScopes:
    """The scopes that all dependants above ask for; injected where a parameter has this type.

    Attributes:
        scopes: The scopes, in order, each once.
        scope_str: The same, joined by single spaces, as OAuth2 writes them.

    Source: RFC 6749, section 3.3.
    """

    def __init__(self, scopes: list[str] | None = None) -> None:
        self.scopes: list[str] = scopes or []
        self.scope_str: str = " ".join(self.scopes)
