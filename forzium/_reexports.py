"""Names that modules of FastAPI and Starlette hold without being the place for them, and where forzium has these.

A module holds what it imports: `starlette.middleware.base` has `ASGIApp` and `Request`, `fastapi.routing` has
`run_in_threadpool`. Programs import such names from wherever an editor found them, and libraries import private ones.
Under the alias (`forzium._alias`) they are found there, too.

Layer: beside `forzium._alias`, its only user; what the tables name is imported when it is asked for. Not for forzium's
own modules, nor for names that belong to a module: those stand in it.

Source: the modules of FastAPI 0.165.0 and Starlette 1.10.0. A test compares the tables with what is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

# Where a name is found, by module. `alias=name` where it has another name there.
_HOMES: Mapping[str, str] = {
    "forzium._body_limit": (
        "AppBodyLimitMiddleware get_body_limit_error get_body_size_limit validate_max_body_size "
        "wrap_app_with_body_limit"
    ),
    "forzium._compat": "RequiredParam sequence_types",
    "forzium._compat.shared": (
        "field_annotation_is_scalar field_annotation_is_scalar_sequence field_annotation_is_sequence "
        "is_bytes_or_nonable_bytes_annotation is_bytes_sequence_annotation "
        "is_uploadfile_or_nonable_uploadfile_annotation is_uploadfile_sequence_annotation lenient_issubclass "
        "value_is_sequence"
    ),
    "forzium._compat.v2": (
        "copy_field_info create_body_model evaluate_forwardref get_cached_model_fields get_missing_field_error "
        "get_schema_from_model_field is_scalar_field ModelField serialize_sequence_value"
    ),
    "forzium._exception_handler": "wrap_app_handling_exceptions",
    "forzium._form_limits": "_FormLimits",
    "forzium._test_exchange": "_is_asgi3 _WrapASGI2=_ASGI2Adapter",
    "forzium._utils": "create_collapsing_task_group get_route_path is_async_callable parse_host_header",
    "forzium.background": "BackgroundTask BackgroundTasks StarletteBackgroundTasks=BackgroundTasks",
    "forzium.concurrency": (
        "contextmanager_in_threadpool iterate_in_threadpool run_in_threadpool _asynccontextmanager_with_shielded_exit "
        "_contextmanager_with_concurrency_limit _DependencyConcurrency"
    ),
    "forzium.datastructures": (
        "Default DefaultPlaceholder FormData Headers ImmutableMultiDict MutableHeaders QueryParams State "
        "UploadFile=StarletteUploadFile URL URLPath _Unset"
    ),
    "forzium.dependencies.body": "_get_body_field=get_body_field _should_embed_body_fields=should_embed_body_fields",
    "forzium.dependencies.callables": (
        "_impartial=without_partial _is_async_gen_callable=is_async_gen_callable "
        "_is_coroutine_callable=is_coroutine_callable _is_gen_callable=is_gen_callable _unwrapped_call=unwrapped_call"
    ),
    "forzium.dependencies.extraction": (
        "_get_model_type=model_type _get_param_aliases=get_param_aliases _get_param_model=get_param_model "
        "_get_multidict_value=received_value _is_empty_file_input=is_empty_file _is_json_field=is_json_field "
        "_validate_value_with_model_field=validate_value"
    ),
    "forzium.dependencies.forms": (
        "_add_form_union_validators=add_form_union_validators _apply_form_body_schema=apply_form_body_schema "
        "_get_form_models=form_models _get_form_union_models=form_union_models "
        "_is_form_model_supplied=is_form_model_supplied _normalize_form_model=_for_model"
    ),
    "forzium.dependencies.graph": "_get_flat_body_params=get_flat_body_params",
    "forzium.dependencies.models": (
        "Dependant _get_cache_key=cache_key _get_computed_scope=computed_scope _get_oauth_scopes=oauth_scopes "
        "_get_security_scheme=security_scheme _is_security_scheme=is_security_scheme _uses_scopes=uses_scopes "
        "_UsesScopesCache=UsesScopesCache"
    ),
    "forzium.dependencies.signature": "_get_signature=_signature",
    "forzium.dependencies.utils": (
        "get_dependant get_parameterless_sub_dependant get_stream_item_type get_typed_return_annotation "
        "SolvedDependency"
    ),
    "forzium.encoders": "jsonable_encoder",
    "forzium.exception_handlers": (
        "http_exception_handler request_validation_exception_handler websocket_request_validation_exception_handler"
    ),
    "forzium.exceptions": (
        "DependencyScopeError EndpointContext FastAPIDeprecationWarning FastAPIError "
        "HTTPException=StarletteHTTPException RequestValidationError ResponseValidationError "
        "StarletteDeprecationWarning WebSocketException=StarletteWebSocketException WebSocketRequestValidationError"
    ),
    "forzium.formparsers": "FormParser MultiPartException MultiPartParser",
    "forzium.logger": "logger",
    "forzium.middleware": "Middleware _MiddlewareFactory",
    "forzium.middleware.asyncexitstack": "AsyncExitStackMiddleware",
    "forzium.middleware.base": "BaseHTTPMiddleware",
    "forzium.middleware.body_limit": "MAX_BODY_SIZE_SCOPE_KEY RequestBodyLimitMiddleware",
    "forzium.middleware.errors": "ServerErrorMiddleware",
    "forzium.middleware.exceptions": "ExceptionMiddleware",
    "forzium.openapi._operation": (
        "_get_openapi_dependency_data=collect_demands _get_openapi_operation_parameters=operation_parameters "
        "_OpenAPIDependencyData=Demands"
    ),
    "forzium.openapi.constants": "METHODS_WITH_BODY REF_PREFIX REF_TEMPLATE",
    "forzium.openapi.models": (
        "APIKey APIKeyIn Example HTTPBaseModel=HTTPBase HTTPBearerModel=HTTPBearer OAuth2Model=OAuth2 "
        "OAuthFlowsModel=OAuthFlows OpenIdConnectModel=OpenIdConnect SecurityBaseModel=SecurityBase"
    ),
    "forzium.params": "Body Depends ParamTypes Undefined",
    "forzium.requests": "ClientDisconnect HTTPConnection Request",
    "forzium.responses": "HTMLResponse JSONResponse PlainTextResponse RedirectResponse Response StreamingResponse",
    "forzium.routing": "BaseRoute Router",
    "forzium.routing.context": "_RouterIncludeContext=RouterIncludeContext",
    "forzium.routing.frontend": (
        "_frontend_dependency_endpoint=nothing _frontend_path_specificity=specificity _FrontendRoute=FrontendRoute "
        "_FrontendRouteGroup=FrontendRouteGroup _join_frontend_paths=joined _normalize_frontend_path=normalized"
    ),
    "forzium.routing.frontend_files": "_FrontendStaticFiles=FrontendFiles",
    "forzium.routing.include": "_iter_routes_with_context=routes_with_context",
    "forzium.routing.lifespan": "_DefaultLifespan=EventLifespan _merge_lifespan_context=merged",
    "forzium.routing.scope": (
        "_apply_router_form_limits=apply_form_limits _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY=EFFECTIVE_ROUTE_CONTEXT "
        "_FASTAPI_FORM_LIMITS_KEY=FORM_LIMITS _FASTAPI_FRONTEND_PATH_KEY=FRONTEND_PATH "
        "_FASTAPI_FRONTEND_SPECIFICITY_KEY=FRONTEND_SPECIFICITY _FASTAPI_INCLUDED_ROUTER_KEY=INCLUDED_ROUTER "
        "_FASTAPI_SCOPE_KEY=SCOPE_KEY _get_fastapi_scope=fastapi_scope _resolve_form_limits=resolve_form_limits "
        "_SCOPE_MISSING=MISSING _update_scope=update_scope"
    ),
    "forzium.security.oauth2": "SecurityScopes",
    "forzium.sse": "EventSourceResponse format_sse_event KEEPALIVE_COMMENT ServerSentEvent _SSE_EVENT_SCHEMA",
    "forzium.staticfiles": "StaticFiles",
    "forzium.telemetry._api": (
        "get_telemetry_data TelemetryConfig _operation _route_selected _run_sync_endpoint _validation_failed"
    ),
    "forzium.telemetry._asgi": "ExceptionTelemetryMiddleware NativeTelemetry _legacy_otel",
    "forzium.testclient": "_TestClientTransport=_Transport _Upgrade=Upgrade",
    "forzium.types": (
        "AppType ASGIApp DecoratedCallable DependencyCacheKey ExceptionHandler IncEx Lifespan Message ModelNameMap "
        "Receive Scope Send _ASGIApp=ASGIApp _Receive=Receive _Scope=Scope _Send=Send"
    ),
    "forzium.utils": (
        "create_model_field deep_dict_update generate_unique_id get_path_param_names get_value_or_default "
        "is_body_allowed_for_status_code"
    ),
    "forzium.websockets": "WebSocket WebSocketClose",
    "annotated_doc": "Doc",
    "anyio": "CancelScope CapacityLimiter Semaphore",
    "anyio.abc": "ObjectReceiveStream ObjectSendStream",
    "anyio.lowlevel": "checkpoint_if_cancelled RunVar",
    "anyio.streams.stapled": "StapledObjectStream",
    "base64": "b64decode",
    "collections.abc": (
        "AsyncGenerator AsyncIterable AsyncIterator Awaitable Callable Collection Coroutine Generator ItemsView "
        "Iterable Iterator KeysView Mapping MutableMapping Sequence ValuesView"
    ),
    "concurrent.futures": "wait_futures=wait",
    "contextlib": (
        "AbstractAsyncContextManager AbstractContextManager aclosing asynccontextmanager AsyncExitStack contextmanager"
    ),
    "contextvars": "ContextVar",
    "copy": "deepcopy",
    "dataclasses": "dataclass field",
    "datetime": "datetime",
    "email.utils": "format_datetime formatdate parsedate",
    "enum": "Enum IntEnum",
    "functools": "lru_cache partial",
    "inspect": "iscoroutinefunction",
    "itsdangerous": "BadSignature",
    "jinja2": "pass_context",
    "mimetypes": "guess_type",
    "operator": "itemgetter",
    "pydantic": (
        "AliasChoices AliasPath AnyUrl BaseModel BeforeValidator ConfigDict create_model Discriminator "
        "GetJsonSchemaHandler GetPydanticSchema Json NameEmail Tag"
    ),
    "pydantic.color": "Color",
    "pydantic.fields": "FieldInfo",
    "pydantic.json_schema": "CoreSchema",
    "pydantic.version": "PYDANTIC_VERSION=VERSION",
    "pydantic_core.core_schema": "with_info_plain_validator_function",
    "python_multipart.multipart": "FormParserError parse_options_header",
    "re": "Pattern",
    "secrets": "token_hex",
    "types": "GeneratorType UnionType",
    "typing": (
        "Annotated Any BinaryIO cast defaultdict ForwardRef get_args get_origin Literal NamedTuple ParamSpec Protocol "
        "TYPE_CHECKING TypeGuard TypeVar Union"
    ),
    "typing_extensions": "deprecated typing_deprecated=deprecated",
    "typing_inspection.typing_objects": "is_typealiastype",
    "urllib.parse": "parse_qsl quote SplitResult unquote_plus urlencode urlsplit",
}

# Modules, as other modules hold them.
_MODULES = (
    "anyio asyncexitstack=forzium.middleware.asyncexitstack base=forzium.middleware.base binascii contextlib copy "
    "dataclasses email email_validator errno errors=forzium.middleware.errors "
    "exceptions=forzium.middleware.exceptions fastapi=forzium formparsers=forzium.formparsers functools hashlib "
    "html http http_cookies=http.cookies importlib inspect ipaddress itsdangerous json math "
    "multipart=python_multipart os params=forzium.params re routing=forzium.routing shared=forzium._compat.shared "
    "stat sys threading traceback types typing uuid v2=forzium._compat.v2 warnings zlib "
    "_asgi=forzium.telemetry._asgi _compat=forzium._compat"
)

# Which of these names a module answers.
_HELD: Mapping[str, str] = {
    "forzium": "formparsers _compat",
    "forzium._compat": "shared v2",
    "forzium._compat.shared": "PYDANTIC_VERSION UploadFile",
    "forzium._compat.v2": "IncEx ModelNameMap REF_TEMPLATE shared",
    "forzium._exception_handler": "ASGIApp ExceptionHandler HTTPException Message Receive Request Scope Send WebSocket",
    "forzium._utils": "iscoroutinefunction Scope",
    "forzium.applications": (
        "Annotated AppBodyLimitMiddleware ASGIApp AsyncExitStackMiddleware Awaitable BaseHTTPMiddleware BaseRoute "
        "Callable Coroutine DecoratedCallable Default DefaultPlaceholder Depends deprecated Doc Enum ExceptionHandler "
        "ExceptionMiddleware ExceptionTelemetryMiddleware FastAPIDeprecationWarning generate_unique_id HTMLResponse "
        "http_exception_handler HTTPException IncEx JSONResponse Lifespan Literal Mapping Middleware NativeTelemetry "
        "os ParamSpec Receive Request request_validation_exception_handler RequestBodyLimitMiddleware "
        "RequestValidationError Response Router routing Scope Send Sequence ServerErrorMiddleware State "
        "TelemetryConfig TypeVar URLPath warnings websocket_request_validation_exception_handler "
        "WebSocketRequestValidationError _FormLimits _legacy_otel _MiddlewareFactory"
    ),
    "forzium.authentication": "HTTPException inspect RedirectResponse urlencode",
    "forzium.background": "Annotated Doc StarletteBackgroundTasks _operation",
    "forzium.concurrency": "CancelScope CapacityLimiter checkpoint_if_cancelled RunVar Semaphore",
    "forzium.convertors": "uuid",
    "forzium.datastructures": (
        "Annotated Any BinaryIO Callable cast Doc GetJsonSchemaHandler ipaddress itemgetter ItemsView Iterable "
        "Iterator KeysView Literal Mapping MutableMapping NamedTuple parse_host_header parse_qsl run_in_threadpool "
        "Scope Sequence SplitResult TypeVar urlencode urlsplit ValuesView"
    ),
    "forzium.dependencies.models": (
        "inspect iscoroutinefunction lru_cache partial sys _get_cache_key _get_computed_scope _get_oauth_scopes "
        "_get_security_scheme _impartial _is_async_gen_callable _is_coroutine_callable _is_gen_callable "
        "_is_security_scheme _unwrapped_call _uses_scopes _UsesScopesCache"
    ),
    "forzium.dependencies.utils": (
        "AliasChoices AliasPath Annotated asynccontextmanager AsyncExitStack AsyncGenerator AsyncIterable "
        "AsyncIterator BackgroundTasks BaseModel BeforeValidator Callable CancelScope cast ConfigDict contextmanager "
        "contextmanager_in_threadpool copy_field_info CoreSchema create_body_model create_model_field dataclasses "
        "deepcopy Dependant DependencyCacheKey DependencyScopeError evaluate_forwardref field_annotation_is_scalar "
        "field_annotation_is_scalar_sequence field_annotation_is_sequence FieldInfo FormData ForwardRef Generator "
        "get_args get_cached_model_fields get_missing_field_error get_origin get_path_param_names "
        "GetJsonSchemaHandler GetPydanticSchema Headers HTTPConnection ImmutableMultiDict inspect "
        "is_bytes_or_nonable_bytes_annotation is_bytes_sequence_annotation is_scalar_field is_typealiastype "
        "is_uploadfile_or_nonable_uploadfile_annotation is_uploadfile_sequence_annotation Iterable Iterator Json "
        "lenient_issubclass Literal logger Mapping ModelField params partial QueryParams Request RequiredParam "
        "Response run_in_threadpool SecurityScopes Sequence sequence_types serialize_sequence_value "
        "StarletteBackgroundTasks sys Tag Undefined Union UnionType UploadFile value_is_sequence WebSocket "
        "_add_form_union_validators _apply_form_body_schema _asynccontextmanager_with_shielded_exit "
        "_contextmanager_with_concurrency_limit _DependencyConcurrency _get_body_field _get_cache_key "
        "_get_computed_scope _get_flat_body_params _get_form_models _get_form_union_models _get_model_type "
        "_get_multidict_value _is_form_model_supplied _normalize_form_model _validate_value_with_model_field "
        "_get_oauth_scopes _get_param_aliases _get_param_model _get_signature _is_async_gen_callable "
        "_is_coroutine_callable _is_empty_file_input _is_gen_callable _is_json_field _should_embed_body_fields "
        "_UsesScopesCache"
    ),
    "forzium.encoders": "Annotated AnyUrl Color defaultdict Doc IncEx NameEmail",
    "forzium.endpoints": "Callable HTTPException Message Receive Scope Send",
    "forzium.exception_handlers": "HTTPException",
    "forzium.exceptions": "Annotated BaseModel create_model Doc http",
    "forzium.formparsers": "FormParserError multipart parse_options_header sys TYPE_CHECKING unquote_plus UploadFile",
    "forzium.middleware": "asyncexitstack base errors exceptions _ASGIApp _Receive _Scope _Send",
    "forzium.middleware.asyncexitstack": "ASGIApp Receive Scope Send",
    "forzium.middleware.authentication": "ASGIApp Receive Scope Send",
    "forzium.middleware.base": (
        "aclosing Any anyio ASGIApp AsyncGenerator AsyncIterable ClientDisconnect create_collapsing_task_group "
        "Mapping Message MutableMapping Receive Scope Send TypeVar"
    ),
    "forzium.middleware.body_limit": "ASGIApp cast Headers HTTPException Message PlainTextResponse Receive Scope Send",
    "forzium.middleware.cors": "ASGIApp functools Message Receive Scope Send",
    "forzium.middleware.errors": "ASGIApp ExceptionHandler html inspect Message Receive Scope Send sys traceback",
    "forzium.middleware.exceptions": "ASGIApp ExceptionHandler HTTPException Receive Scope Send WebSocketException",
    "forzium.middleware.gzip": "ASGIApp Headers Message MutableHeaders Receive Scope Send zlib",
    "forzium.middleware.httpsredirect": "ASGIApp Receive Scope Send",
    "forzium.middleware.opentelemetry": "ASGIApp Message Receive Scope Send",
    "forzium.middleware.sessions": (
        "ASGIApp BadSignature HTTPConnection itsdangerous Message MutableHeaders Receive Scope Send typing"
    ),
    "forzium.middleware.trustedhost": "ASGIApp Headers Receive Scope Send",
    "forzium.middleware.wsgi": "MutableMapping ObjectReceiveStream ObjectSendStream Receive Scope Send",
    "forzium.openapi.docs": "Annotated Doc json jsonable_encoder",
    "forzium.openapi.models": (
        "Callable email_validator Iterable logger Mapping typing_deprecated with_info_plain_validator_function"
    ),
    "forzium.openapi.utils": (
        "BaseRoute Body cast copy dataclass deep_dict_update DefaultPlaceholder Dependant DependencyCacheKey field "
        "get_schema_from_model_field http inspect is_body_allowed_for_status_code jsonable_encoder JSONResponse "
        "lenient_issubclass Literal METHODS_WITH_BODY ModelNameMap ParamTypes REF_PREFIX Response _get_cache_key "
        "_get_oauth_scopes _get_openapi_dependency_data _get_openapi_operation_parameters _get_param_aliases "
        "_get_param_model _get_security_scheme _is_security_scheme _OpenAPIDependencyData _SSE_EVENT_SCHEMA _Unset "
        "_UsesScopesCache"
    ),
    "forzium.param_functions": "AliasChoices AliasPath Annotated deprecated Discriminator Doc Example re _Unset",
    "forzium.params": "AliasChoices AliasPath Annotated deprecated Discriminator Example re",
    "forzium.requests": (
        "anyio FormParser http_cookies HTTPException json MultiPartException MultiPartParser parse_options_header sys"
    ),
    "forzium.responses": (
        "anyio asynccontextmanager AsyncIterable AsyncIterator Awaitable BackgroundTask Callable cast "
        "ClientDisconnect create_collapsing_task_group datetime deprecated FastAPIDeprecationWarning format_datetime "
        "formatdate guess_type hashlib Headers http importlib Iterable iterate_in_threadpool json Literal Mapping "
        "Message MutableHeaders os partial Protocol quote Receive Scope Send Sequence stat sys token_hex URL"
    ),
    "forzium.routing": (
        "AbstractAsyncContextManager AbstractContextManager Annotated anyio AppType ASGIApp asynccontextmanager "
        "AsyncExitStack AsyncIterator Awaitable Callable cast Collection contextlib ContextVar copy Coroutine "
        "create_model_field dataclass DecoratedCallable Default DefaultPlaceholder Dependant deprecated Doc email "
        "EndpointContext Enum errno EventSourceResponse FastAPIError field format_sse_event functools "
        "generate_unique_id Generator get_body_limit_error get_body_size_limit get_dependant "
        "get_parameterless_sub_dependant get_route_path get_stream_item_type get_telemetry_data "
        "get_typed_return_annotation get_value_or_default HTTPException IncEx inspect IntEnum is_async_callable "
        "is_body_allowed_for_status_code iterate_in_threadpool Iterator json jsonable_encoder JSONResponse "
        "KEEPALIVE_COMMENT lenient_issubclass Lifespan Literal Mapping math MAX_BODY_SIZE_SCOPE_KEY Middleware "
        "ModelField ObjectReceiveStream os params parse_host_header Pattern PlainTextResponse Protocol re Receive "
        "RedirectResponse Request RequestBodyLimitMiddleware RequestValidationError Response ResponseValidationError "
        "routing run_in_threadpool Scope Send Sequence ServerSentEvent SolvedDependency StarletteDeprecationWarning "
        "stat StaticFiles StreamingResponse threading traceback types TypeVar Undefined validate_max_body_size "
        "warnings WebSocket WebSocketClose WebSocketRequestValidationError wrap_app_handling_exceptions "
        "wrap_app_with_body_limit _apply_router_form_limits _DefaultLifespan _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY "
        "_FASTAPI_FORM_LIMITS_KEY _FASTAPI_FRONTEND_PATH_KEY _FASTAPI_FRONTEND_SPECIFICITY_KEY "
        "_FASTAPI_INCLUDED_ROUTER_KEY _FASTAPI_SCOPE_KEY _FormLimits _frontend_dependency_endpoint "
        "_frontend_path_specificity _FrontendRoute _FrontendRouteGroup _FrontendStaticFiles _get_body_field "
        "_get_fastapi_scope _get_flat_body_params _is_async_gen_callable _is_coroutine_callable _is_gen_callable "
        "_iter_routes_with_context _join_frontend_paths _merge_lifespan_context _normalize_frontend_path _operation "
        "_resolve_form_limits _route_selected _RouterIncludeContext _run_sync_endpoint _SCOPE_MISSING "
        "_should_embed_body_fields _update_scope _validation_failed"
    ),
    "forzium.security.api_key": "Annotated APIKey APIKeyIn Doc",
    "forzium.security.base": "SecurityBaseModel",
    "forzium.security.http": "Annotated b64decode binascii Doc HTTPBaseModel HTTPBearerModel",
    "forzium.security.oauth2": "cast Doc OAuth2Model OAuthFlowsModel",
    "forzium.security.open_id_connect_url": "Annotated Doc OpenIdConnectModel",
    "forzium.sse": "Doc StreamingResponse",
    "forzium.staticfiles": "HTTPException importlib parsedate Receive Scope Send Union",
    "forzium.telemetry": "_asgi",
    "forzium.status": "StarletteDeprecationWarning warnings",
    "forzium.templating": "BackgroundTask pass_context Receive Scope Send",
    "forzium.testclient": (
        "Awaitable GeneratorType inspect is_async_callable Receive Send StapledObjectStream TypeGuard wait_futures "
        "_is_asgi3 _TestClientTransport _Upgrade _WrapASGI2"
    ),
    "forzium.types": "Union",
    "forzium.utils": "fastapi v2",
    "forzium.websockets": "cast Message Receive Response Scope Send",
}


@cache
def _places() -> Mapping[str, tuple[str, str | None]]:
    """For each name its module, and its name there; None where it is the module itself."""
    places: dict[str, tuple[str, str | None]] = {}
    for module, names in _HOMES.items():
        for name in names.split():
            held, _, there = name.partition("=")
            places[held] = module, there or held
    for name in _MODULES.split():
        held, _, module = name.partition("=")
        places[held] = module or held, None
    return places


def answer(module: ModuleType) -> None:
    """Have a module of forzium answer the names that FastAPI's or Starlette's module of its name holds beside its own.

    What the module has, or makes in a `__getattr__` of its own, comes first. Does nothing where there are none.
    """
    listed = _HELD.get(module.__name__)
    if listed is None:
        return
    held = frozenset(listed.split())
    own = vars(module).get("__getattr__")

    def __getattr__(name: str) -> Any:
        if name not in held:
            if own is not None:
                return own(name)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        home, there = _places()[name]
        found = import_module(home)
        return found if there is None else getattr(found, there)

    module.__dict__["__getattr__"] = __getattr__
