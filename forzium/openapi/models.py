"""The objects of an OpenAPI 3.1 document, as pydantic models.

Layer: pydantic only. Names, fields and their order are FastAPI's: people build documents with them, and the order is
the one in which a document is written. Unknown keys are kept (specification extensions). Validators are built when a
class is first used (``defer_build``): an application that never shows its document does not pay for them. Not for
building a document from routes: that is ``openapi.utils``.

Source: OpenAPI 3.1.0, https://spec.openapis.org/oas/v3.1.0; JSON Schema draft 2020-12.
"""

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Union

from pydantic import AnyUrl, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema
from typing_extensions import TypedDict
from typing_extensions import deprecated as mark_deprecated


class _PlainEmailStr(str):
    """Stands in for `pydantic.EmailStr` where email-validator is not installed: any value, as a string."""

    __slots__ = ()

    @classmethod
    def _accept(cls, value: Any) -> str:
        from forzium.logger import logger

        logger.warning(
            "email-validator not installed, email fields will be treated as str.\n"
            "To install, run: pip install email-validator"
        )
        return str(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(cls._accept)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "format": "email"}


def _email_type() -> Any:
    from importlib.util import find_spec

    if find_spec("email_validator") is None:
        return _PlainEmailStr
    from pydantic import EmailStr

    return EmailStr


if TYPE_CHECKING:
    from pydantic import EmailStr
else:
    EmailStr = _email_type()


class BaseModelWithConfig(BaseModel):
    """Base of the objects that may carry extensions."""

    model_config = ConfigDict(extra="allow", defer_build=True)


# --- Information about the document


class Contact(BaseModelWithConfig):
    """Contact Object."""

    name: str | None = None
    url: AnyUrl | None = None
    email: EmailStr | None = None


class License(BaseModelWithConfig):
    """License Object."""

    name: str
    identifier: str | None = None
    url: AnyUrl | None = None


class Info(BaseModelWithConfig):
    """Info Object."""

    title: str
    summary: str | None = None
    description: str | None = None
    termsOfService: str | None = None
    contact: Contact | None = None
    license: License | None = None
    version: str


class ServerVariable(BaseModelWithConfig):
    """Server Variable Object."""

    enum: Annotated[list[str] | None, Field(min_length=1)] = None
    default: str
    description: str | None = None


class Server(BaseModelWithConfig):
    """Server Object."""

    url: AnyUrl | str
    description: str | None = None
    variables: dict[str, ServerVariable] | None = None


class ExternalDocumentation(BaseModelWithConfig):
    """External Documentation Object."""

    description: str | None = None
    url: AnyUrl


# --- Schemas


class Reference(BaseModel):
    """Reference Object."""

    model_config = ConfigDict(defer_build=True)

    ref: str = Field(alias="$ref")


class Discriminator(BaseModel):
    """Discriminator Object."""

    model_config = ConfigDict(defer_build=True)

    propertyName: str
    mapping: dict[str, str] | None = None


class XML(BaseModelWithConfig):
    """XML Object."""

    name: str | None = None
    namespace: str | None = None
    prefix: str | None = None
    attribute: bool | None = None
    wrapped: bool | None = None


SchemaType = Literal["array", "boolean", "integer", "null", "number", "object", "string"]

_Count = Annotated[int | None, Field(ge=0)]
_Members = dict[str, "SchemaOrBool"] | None
_Alternatives = list["SchemaOrBool"] | None


class Schema(BaseModelWithConfig):
    """Schema Object: JSON Schema 2020-12 and what OpenAPI adds."""

    # core
    schema_: str | None = Field(default=None, alias="$schema")
    vocabulary: str | None = Field(default=None, alias="$vocabulary")
    id: str | None = Field(default=None, alias="$id")
    anchor: str | None = Field(default=None, alias="$anchor")
    dynamicAnchor: str | None = Field(default=None, alias="$dynamicAnchor")
    ref: str | None = Field(default=None, alias="$ref")
    dynamicRef: str | None = Field(default=None, alias="$dynamicRef")
    defs: _Members = Field(default=None, alias="$defs")
    comment: str | None = Field(default=None, alias="$comment")
    # applying subschemas
    allOf: _Alternatives = None
    anyOf: _Alternatives = None
    oneOf: _Alternatives = None
    not_: Optional["SchemaOrBool"] = Field(default=None, alias="not")
    if_: Optional["SchemaOrBool"] = Field(default=None, alias="if")
    then: Optional["SchemaOrBool"] = None
    else_: Optional["SchemaOrBool"] = Field(default=None, alias="else")
    dependentSchemas: _Members = None
    prefixItems: _Alternatives = None
    items: Optional["SchemaOrBool"] = None
    contains: Optional["SchemaOrBool"] = None
    properties: _Members = None
    patternProperties: _Members = None
    additionalProperties: Optional["SchemaOrBool"] = None
    propertyNames: Optional["SchemaOrBool"] = None
    unevaluatedItems: Optional["SchemaOrBool"] = None
    unevaluatedProperties: Optional["SchemaOrBool"] = None
    # validation
    type: SchemaType | list[SchemaType] | None = None
    enum: list[Any] | None = None
    const: Any | None = None
    multipleOf: Annotated[float | None, Field(gt=0)] = None
    maximum: float | None = None
    exclusiveMaximum: float | None = None
    minimum: float | None = None
    exclusiveMinimum: float | None = None
    maxLength: _Count = None
    minLength: _Count = None
    pattern: str | None = None
    maxItems: _Count = None
    minItems: _Count = None
    uniqueItems: bool | None = None
    maxContains: _Count = None
    minContains: _Count = None
    maxProperties: _Count = None
    minProperties: _Count = None
    required: list[str] | None = None
    dependentRequired: dict[str, set[str]] | None = None
    # format and contents of strings
    format: str | None = None
    contentEncoding: str | None = None
    contentMediaType: str | None = None
    contentSchema: Optional["SchemaOrBool"] = None
    # annotations
    title: str | None = None
    description: str | None = None
    default: Any | None = None
    deprecated: bool | None = None
    readOnly: bool | None = None
    writeOnly: bool | None = None
    examples: list[Any] | None = None
    # OpenAPI
    discriminator: Discriminator | None = None
    xml: XML | None = None
    externalDocs: ExternalDocumentation | None = None
    example: Annotated[
        Any | None,
        mark_deprecated("OpenAPI 3.1 takes JSON Schema's `examples`; `example` still works. Use examples instead."),
    ] = None


SchemaOrBool = Schema | bool
"""A JSON Schema is an object or a boolean."""


# --- Parameters, bodies, responses


class Example(TypedDict, total=False):
    """Example Object: a plain dict, so that it can be written where a parameter is declared."""

    summary: str | None
    description: str | None
    value: Any | None
    externalValue: AnyUrl | None

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]  # pydantic reads it; no key of the dict


class ParameterInType(Enum):
    """Where a parameter stands."""

    query = "query"
    header = "header"
    path = "path"
    cookie = "cookie"


class Encoding(BaseModelWithConfig):
    """Encoding Object."""

    contentType: str | None = None
    headers: dict[str, Union["Header", Reference]] | None = None
    style: str | None = None
    explode: bool | None = None
    allowReserved: bool | None = None


class MediaType(BaseModelWithConfig):
    """Media Type Object."""

    schema_: Schema | Reference | None = Field(default=None, alias="schema")
    example: Any | None = None
    examples: dict[str, Example | Reference] | None = None
    encoding: dict[str, Encoding] | None = None


class ParameterBase(BaseModelWithConfig):
    """What parameters and headers have in common."""

    description: str | None = None
    required: bool | None = None
    deprecated: bool | None = None
    style: str | None = None
    explode: bool | None = None
    allowReserved: bool | None = None
    schema_: Schema | Reference | None = Field(default=None, alias="schema")
    example: Any | None = None
    examples: dict[str, Example | Reference] | None = None
    content: dict[str, MediaType] | None = None


class Parameter(ParameterBase):
    """Parameter Object."""

    name: str
    in_: ParameterInType = Field(alias="in")


class Header(ParameterBase):
    """Header Object."""


class RequestBody(BaseModelWithConfig):
    """Request Body Object."""

    description: str | None = None
    content: dict[str, MediaType]
    required: bool | None = None


class Link(BaseModelWithConfig):
    """Link Object."""

    operationRef: str | None = None
    operationId: str | None = None
    parameters: dict[str, Any | str] | None = None
    requestBody: Any | str | None = None
    description: str | None = None
    server: Server | None = None


class Response(BaseModelWithConfig):
    """Response Object."""

    description: str
    headers: dict[str, Header | Reference] | None = None
    content: dict[str, MediaType] | None = None
    links: dict[str, Link | Reference] | None = None


# --- Operations


class Operation(BaseModelWithConfig):
    """Operation Object. `responses` takes anything: extensions may stand among the status codes."""

    tags: list[str] | None = None
    summary: str | None = None
    description: str | None = None
    externalDocs: ExternalDocumentation | None = None
    operationId: str | None = None
    parameters: list[Parameter | Reference] | None = None
    requestBody: RequestBody | Reference | None = None
    responses: dict[str, Response | Any] | None = None
    callbacks: dict[str, dict[str, "PathItem"] | Reference] | None = None
    deprecated: bool | None = None
    security: list[dict[str, list[str]]] | None = None
    servers: list[Server] | None = None


class PathItem(BaseModelWithConfig):
    """Path Item Object."""

    ref: str | None = Field(default=None, alias="$ref")
    summary: str | None = None
    description: str | None = None
    get: Operation | None = None
    put: Operation | None = None
    post: Operation | None = None
    delete: Operation | None = None
    options: Operation | None = None
    head: Operation | None = None
    patch: Operation | None = None
    trace: Operation | None = None
    servers: list[Server] | None = None
    parameters: list[Parameter | Reference] | None = None


# --- Security


class SecuritySchemeType(Enum):
    """Kinds of security schemes."""

    apiKey = "apiKey"
    http = "http"
    oauth2 = "oauth2"
    openIdConnect = "openIdConnect"


class SecurityBase(BaseModelWithConfig):
    """What all security schemes have in common."""

    type_: SecuritySchemeType = Field(alias="type")
    description: str | None = None


class APIKeyIn(Enum):
    """Where an API key stands."""

    query = "query"
    header = "header"
    cookie = "cookie"


class APIKey(SecurityBase):
    """Security Scheme Object of type ``apiKey``."""

    type_: SecuritySchemeType = Field(default=SecuritySchemeType.apiKey, alias="type")
    in_: APIKeyIn = Field(alias="in")
    name: str


class HTTPBase(SecurityBase):
    """Security Scheme Object of type ``http``."""

    type_: SecuritySchemeType = Field(default=SecuritySchemeType.http, alias="type")
    scheme: str


class HTTPBearer(HTTPBase):
    """Security Scheme Object of type ``http``, scheme ``bearer``."""

    scheme: Literal["bearer"] = "bearer"
    bearerFormat: str | None = None


class OAuthFlow(BaseModelWithConfig):
    """What all OAuth Flow Objects have in common."""

    refreshUrl: str | None = None
    scopes: dict[str, str] = {}


class OAuthFlowImplicit(OAuthFlow):
    """OAuth Flow Object: implicit."""

    authorizationUrl: str


class OAuthFlowPassword(OAuthFlow):
    """OAuth Flow Object: password."""

    tokenUrl: str


class OAuthFlowClientCredentials(OAuthFlow):
    """OAuth Flow Object: client credentials."""

    tokenUrl: str


class OAuthFlowAuthorizationCode(OAuthFlow):
    """OAuth Flow Object: authorization code."""

    authorizationUrl: str
    tokenUrl: str


class OAuthFlows(BaseModelWithConfig):
    """OAuth Flows Object."""

    implicit: OAuthFlowImplicit | None = None
    password: OAuthFlowPassword | None = None
    clientCredentials: OAuthFlowClientCredentials | None = None
    authorizationCode: OAuthFlowAuthorizationCode | None = None


class OAuth2(SecurityBase):
    """Security Scheme Object of type ``oauth2``."""

    type_: SecuritySchemeType = Field(default=SecuritySchemeType.oauth2, alias="type")
    flows: OAuthFlows


class OpenIdConnect(SecurityBase):
    """Security Scheme Object of type ``openIdConnect``."""

    type_: SecuritySchemeType = Field(default=SecuritySchemeType.openIdConnect, alias="type")
    openIdConnectUrl: str


SecurityScheme = APIKey | HTTPBase | OAuth2 | OpenIdConnect | HTTPBearer


# --- The document


class Components(BaseModelWithConfig):
    """Components Object. `callbacks` takes anything: extensions may stand among the expressions."""

    schemas: dict[str, Schema | Reference] | None = None
    responses: dict[str, Response | Reference] | None = None
    parameters: dict[str, Parameter | Reference] | None = None
    examples: dict[str, Example | Reference] | None = None
    requestBodies: dict[str, RequestBody | Reference] | None = None
    headers: dict[str, Header | Reference] | None = None
    securitySchemes: dict[str, SecurityScheme | Reference] | None = None
    links: dict[str, Link | Reference] | None = None
    callbacks: dict[str, dict[str, PathItem] | Reference | Any] | None = None
    pathItems: dict[str, PathItem | Reference] | None = None


class Tag(BaseModelWithConfig):
    """Tag Object."""

    name: str
    description: str | None = None
    externalDocs: ExternalDocumentation | None = None


class OpenAPI(BaseModelWithConfig):
    """OpenAPI Object. `paths` takes anything: extensions may stand among the paths."""

    openapi: str
    info: Info
    jsonSchemaDialect: str | None = None
    servers: list[Server] | None = None
    paths: dict[str, PathItem | Any] | None = None
    webhooks: dict[str, PathItem | Reference] | None = None
    components: Components | None = None
    security: list[dict[str, list[str]]] | None = None
    tags: list[Tag] | None = None
    externalDocs: ExternalDocumentation | None = None
