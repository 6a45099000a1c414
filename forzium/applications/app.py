"""FastAPI's application, `ForziumApp`: operations and the OpenAPI document that describes them.

Stands on base and on the router, which does the declaring. The document is built by openapi, which is imported when
it is first asked for.

Source: FastAPI 0.165 `fastapi.applications`.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast

from typing_extensions import deprecated

from forzium import applications
from forzium.applications.base import Starlette, stacked
from forzium.applications.document import Document, served_below
from forzium.datastructures import Default, State
from forzium.exceptions import (
    FastAPIDeprecationWarning,
    RequestValidationError,
    StarletteHTTPException,
    WebSocketRequestValidationError,
)
from forzium.middleware import Middleware
from forzium.responses import HTMLResponse, JSONResponse, Response
from forzium.routing.apirouter import ON_EVENT_DEPRECATED, APIRouter
from forzium.routing.base import BaseRoute
from forzium.routing.declaration import explained
from forzium.routing.frontend import checks_directory
from forzium.routing.options import AppAPIRouteOptions, IncludeOptions, OperationOptions, completed, signed
from forzium.types import ASGIApp, DecoratedCallable, Lifespan
from forzium.utils import generate_unique_id

if TYPE_CHECKING:
    from forzium._form_limits import FormLimits
    from forzium.params import Depends
    from forzium.requests import Request
    from forzium.routing.api import APIRoute
    from forzium.routing.frontend import Directory, Fallback
    from forzium.telemetry import TelemetryConfig

__all__ = ["FastAPI", "ForziumApp"]

_AppType = TypeVar("_AppType", bound="ForziumApp")


class ForziumApp(Starlette):
    """An application of operations, described by an OpenAPI document; under the name `FastAPI`, FastAPI's.

    Args:
        telemetry: OpenTelemetry settings. Default is to follow the global providers, if there are any.
        debug: Whether an error is answered with its traceback. Default is false.
        routes: Routes to begin with. Rather use the methods below.
        title, summary, description, version, terms_of_service, contact, license_info: About the API, for its
            document.
        openapi_url: Where the document is. `None` turns it and the pages off.
        openapi_tags, servers, openapi_external_docs: Parts of the document.
        dependencies: Dependencies of all operations.
        default_response_class: Class of an answer that is not a `Response`. Default is JSON.
        redirect_slashes: Whether a path that fits only with (or without) a slash at its end is redirected.
        docs_url, redoc_url: Where the pages are; `None` turns one off.
        swagger_ui_oauth2_redirect_url, swagger_ui_init_oauth, swagger_ui_parameters: For the Swagger UI page.
        middleware: Middleware around every request, the first one outermost.
        exception_handlers: Handlers `(request, exception) -> response` by status or exception class.
        on_startup, on_shutdown: Called when serving begins and ends. Use `lifespan`.
        lifespan: A context manager factory, called with the application around serving.
        root_path: Deprecated; the server knows it.
        root_path_in_servers: Whether the document names the root path as a server.
        responses, callbacks, deprecated, include_in_schema: For all operations, in the document.
        webhooks: Operations that are described but not served.
        generate_unique_id_function: Makes operation ids from routes.
        separate_input_output_schemas: Whether a model that reads and writes differently has two schemas.
        strict_content_type: Whether a JSON body needs a JSON content type.
        max_body_size: Limit of a request body in bytes. Default is no limit.
        form_limits: Limits of a form's fields, files and part size.
        cancel_on_disconnect: Whether an endpoint is cancelled when the client leaves. Default is false. Forzium's own.
        background_always: Whether background tasks run whatever becomes of the response. Default is false. Forzium's
            own.

    Raises:
        AssertionError: There is a document but no title or version for it.
        ValueError: The body limit is no size.
    """

    router: APIRouter

    def __init__(
        self: _AppType,
        *,
        telemetry: TelemetryConfig | None = None,
        debug: bool = False,
        routes: list[BaseRoute] | None = None,
        title: str = "FastAPI",
        summary: str | None = None,
        description: str = "",
        version: str = "0.1.0",
        openapi_url: str | None = "/openapi.json",
        openapi_tags: list[dict[str, Any]] | None = None,
        servers: list[dict[str, str | Any]] | None = None,
        dependencies: Sequence[Depends] | None = None,
        default_response_class: type[Response] = Default(JSONResponse),
        redirect_slashes: bool = True,
        docs_url: str | None = "/docs",
        redoc_url: str | None = "/redoc",
        swagger_ui_oauth2_redirect_url: str | None = "/docs/oauth2-redirect",
        swagger_ui_init_oauth: dict[str, Any] | None = None,
        middleware: Sequence[Middleware] | None = None,
        exception_handlers: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]]
        | None = None,
        on_startup: Sequence[Callable[[], Any]] | None = None,
        on_shutdown: Sequence[Callable[[], Any]] | None = None,
        lifespan: Lifespan[_AppType] | None = None,
        terms_of_service: str | None = None,
        contact: dict[str, str | Any] | None = None,
        license_info: dict[str, str | Any] | None = None,
        root_path: str = "",
        root_path_in_servers: bool = True,
        responses: dict[int | str, dict[str, Any]] | None = None,
        callbacks: list[BaseRoute] | None = None,
        webhooks: APIRouter | None = None,
        deprecated: bool | None = None,
        include_in_schema: bool = True,
        swagger_ui_parameters: dict[str, Any] | None = None,
        generate_unique_id_function: Callable[[APIRoute], str] = Default(generate_unique_id),
        separate_input_output_schemas: bool = True,
        openapi_external_docs: dict[str, Any] | None = None,
        strict_content_type: bool = True,
        max_body_size: int | None = None,
        form_limits: FormLimits | None = None,
        cancel_on_disconnect: bool | None = None,
        background_always: bool | None = None,
    ) -> None:
        self._mark_asgi()
        self.max_body_size = max_body_size
        self.debug = debug
        self.title = title
        self.summary = summary
        self.description = description
        self.version = version
        self.terms_of_service = terms_of_service
        self.contact = contact
        self.license_info = license_info
        self.openapi_url = openapi_url
        self.openapi_tags = openapi_tags
        self.root_path_in_servers = root_path_in_servers
        self.docs_url = docs_url
        self.redoc_url = redoc_url
        self.swagger_ui_oauth2_redirect_url = swagger_ui_oauth2_redirect_url
        self.swagger_ui_init_oauth = swagger_ui_init_oauth
        self.swagger_ui_parameters = swagger_ui_parameters
        self.servers = servers or []
        self.separate_input_output_schemas = separate_input_output_schemas
        self.openapi_external_docs = openapi_external_docs
        self.openapi_version = "3.1.0"
        self._document = Document(None)
        self._openapi_routes_version: int | None = None
        if openapi_url:
            if not title:
                advice = "give FastAPI(title=...), or turn the document off with openapi_url=None"
                raise AssertionError(explained("A title must be provided for OpenAPI, e.g.: 'My API'", advice))
            if not version:
                advice = "give FastAPI(version=...), or turn the document off with openapi_url=None"
                raise AssertionError(explained("A version must be provided for OpenAPI, e.g.: '2.1.0'", advice))
        self.webhooks = webhooks or APIRouter()
        if root_path:
            import warnings

            warnings.warn(
                "The `root_path` parameter is deprecated. Configure the server's root path instead, for example with "
                "`fastapi run --root-path /api/v1`.",
                category=FastAPIDeprecationWarning,
                stacklevel=2,
            )
        self.root_path = root_path
        self.state = State()
        self.dependency_overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        self.router = APIRouter(
            routes=routes,
            redirect_slashes=redirect_slashes,
            dependency_overrides_provider=self,
            on_startup=on_startup,
            on_shutdown=on_shutdown,
            lifespan=lifespan,
            default_response_class=default_response_class,
            dependencies=dependencies,
            callbacks=callbacks,
            deprecated=deprecated,
            include_in_schema=include_in_schema,
            responses=responses,
            generate_unique_id_function=generate_unique_id_function,
            strict_content_type=strict_content_type,
            max_body_size=max_body_size,
            form_limits=form_limits,
            cancel_on_disconnect=cancel_on_disconnect,
            background_always=background_always,
        )
        from forzium import exception_handlers as default_handlers

        self.exception_handlers = {
            StarletteHTTPException: default_handlers.http_exception_handler,
            RequestValidationError: default_handlers.request_validation_exception_handler,
            WebSocketRequestValidationError: default_handlers.websocket_request_validation_exception_handler,
            **(exception_handlers or {}),
        }
        self._telemetry: TelemetryConfig = {
            "tracer_provider": None,
            "meter_provider": None,
            "logger_provider": None,
            "tracing": True,
            "metrics": True,
            "logs": True,
            "operation_spans": True,
            "auto_configure": os.environ.get("FASTAPI_OTEL_AUTO_CONFIGURE", "").lower() == "true",
            "exclude": None,
            **(telemetry or {}),
        }
        self.user_middleware = [] if middleware is None else list(middleware)
        self.middleware_stack = None
        self.setup()

    @property
    def _native_telemetry(self) -> Any:
        """FastAPI's OpenTelemetry instrumentation, made when first asked for."""
        own = self.__dict__.get("_own_telemetry")
        if own is None:
            from forzium.telemetry._asgi import NativeTelemetry

            own = self.__dict__["_own_telemetry"] = NativeTelemetry(self._telemetry)
        return own

    def build_middleware_stack(self) -> ASGIApp:
        """Put the middleware around the router, as one ASGI application.

        Agents replace this method; it is called where it or the middleware is not forzium's own.
        """
        from forzium._body_limit import AppBodyLimitMiddleware
        from forzium.middleware.asyncexitstack import AsyncExitStackMiddleware
        from forzium.middleware.errors import ServerErrorMiddleware
        from forzium.middleware.exceptions import ExceptionMiddleware
        from forzium.telemetry._asgi import ExceptionTelemetryMiddleware

        last, others = self._sorted_handlers()
        return stacked(
            self.router,
            [
                Middleware(ServerErrorMiddleware, handler=last, debug=self.debug),
                Middleware(ExceptionTelemetryMiddleware),
                Middleware(AppBodyLimitMiddleware, max_body_size=self.max_body_size),
                *self.user_middleware,
                Middleware(ExceptionMiddleware, handlers=others, debug=self.debug),
                Middleware(AsyncExitStackMiddleware),
            ],
        )

    # The document and the pages

    @property
    def openapi_schema(self) -> dict[str, Any] | None:
        """The document as it was made last; `None` has it made again. It may be changed; what is served is that."""
        self._document.is_shared = True
        return self._document.schema

    @openapi_schema.setter
    def openapi_schema(self, schema: dict[str, Any] | None) -> None:
        self._document = Document(schema, is_shared=True)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made when first asked for and again when routes changed. Assign another function to
        replace it.
        """
        document = self._current_document()
        document.is_shared = True
        return cast("dict[str, Any]", document.schema)

    def _current_document(self) -> Document:
        """The document, for whoever neither changes nor hands out what it holds."""
        version = self.router._get_routes_version()
        if not self._document.schema or self._openapi_routes_version != version:
            schema = applications.get_openapi(
                title=self.title,
                version=self.version,
                openapi_version=self.openapi_version,
                summary=self.summary,
                description=self.description,
                terms_of_service=self.terms_of_service,
                contact=self.contact,
                license_info=self.license_info,
                routes=self.routes,
                webhooks=self.webhooks.routes,
                tags=self.openapi_tags,
                servers=self.servers,
                separate_input_output_schemas=self.separate_input_output_schemas,
                external_docs=self.openapi_external_docs,
            )
            self._document = Document(schema)
            self._openapi_routes_version = version
        return self._document

    def setup(self) -> None:
        """Add the routes of the document and the pages. Called once, at the end of `__init__`."""
        if not self.openapi_url:
            return
        self.add_route(self.openapi_url, self._serve_document(), include_in_schema=False)
        if self.docs_url:
            self.add_route(self.docs_url, self._serve_swagger_ui(), include_in_schema=False)
            if self.swagger_ui_oauth2_redirect_url:
                self.add_route(self.swagger_ui_oauth2_redirect_url, _serve_oauth2_redirect(), include_in_schema=False)
        if self.redoc_url:
            self.add_route(self.redoc_url, self._serve_redoc(), include_in_schema=False)

    def _serve_document(self) -> Callable[[Request], Awaitable[Response]]:
        async def openapi(req: Request) -> Response:
            root_path = _root_path(req) if self.root_path_in_servers else ""
            if getattr(self.openapi, "__func__", None) is _OWN_OPENAPI:
                return Response(self._current_document().body(root_path), media_type=JSONResponse.media_type)
            return JSONResponse(served_below(self.openapi(), root_path))

        return openapi

    def _serve_swagger_ui(self) -> Callable[[Request], Awaitable[Response]]:
        async def swagger_ui_html(req: Request) -> HTMLResponse:
            root_path = _root_path(req)
            redirect_url = self.swagger_ui_oauth2_redirect_url
            return applications.get_swagger_ui_html(
                openapi_url=f"{root_path}{self.openapi_url}",
                title=f"{self.title} - Swagger UI",
                oauth2_redirect_url=root_path + redirect_url if redirect_url else redirect_url,
                init_oauth=self.swagger_ui_init_oauth,
                swagger_ui_parameters=self.swagger_ui_parameters,
            )

        return swagger_ui_html

    def _serve_redoc(self) -> Callable[[Request], Awaitable[Response]]:
        async def redoc_html(req: Request) -> HTMLResponse:
            return applications.get_redoc_html(
                openapi_url=f"{_root_path(req)}{self.openapi_url}", title=f"{self.title} - ReDoc"
            )

        return redoc_html

    # Declaring operations: what the router does, on the application's router

    @signed(AppAPIRouteOptions)
    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Unpack[AppAPIRouteOptions]) -> None:
        """Add an operation; see `APIRouter.add_api_route`."""
        given = completed(AppAPIRouteOptions, options, "FastAPI.add_api_route")
        self.router.add_api_route(path, endpoint=endpoint, **given)

    @signed(AppAPIRouteOptions)
    def api_route(
        self, path: str, **options: Unpack[AppAPIRouteOptions]
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as an operation; see `add_api_route`."""
        given = completed(AppAPIRouteOptions, options, "FastAPI.api_route")

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.router.add_api_route(path, func, **given)
            return func

        return decorator

    def frontend(
        self,
        path: str,
        *,
        directory: Directory,
        fallback: Fallback = "auto",
        check_dir: bool | Literal["auto"] = "auto",
    ) -> None:
        """Serve a built front end at the paths below `path` that no route takes; see `APIRouter.frontend`."""
        checked = checks_directory(directory, check_dir)
        self.router.frontend(path, directory=directory, fallback=fallback, check_dir=checked)

    def add_api_websocket_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        name: str | None = None,
        *,
        dependencies: Sequence[Depends] | None = None,
    ) -> None:
        """Add a WebSocket endpoint."""
        self.router.add_api_websocket_route(path, endpoint, name=name, dependencies=dependencies)

    def websocket(
        self, path: str, name: str | None = None, *, dependencies: Sequence[Depends] | None = None
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a coroutine function as a WebSocket endpoint."""

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.add_api_websocket_route(path, func, name=name, dependencies=dependencies)
            return func

        return decorator

    def websocket_route(self, path: str, name: str | None = None) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a coroutine function `websocket -> None` as a `WebSocketRoute`."""
        return self.router.websocket_route(path, name=name)

    @signed(IncludeOptions)
    def include_router(self, router: APIRouter, **options: Unpack[IncludeOptions]) -> None:
        """Include a router's routes; see `APIRouter.include_router`."""
        self.router.include_router(router, **completed(IncludeOptions, options, "FastAPI.include_router"))

    @signed(OperationOptions)
    def get(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a GET operation; see `api_route`."""
        return self.router.get(path, **completed(OperationOptions, options, "FastAPI.get"))

    @signed(OperationOptions)
    def put(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a PUT operation; see `api_route`."""
        return self.router.put(path, **completed(OperationOptions, options, "FastAPI.put"))

    @signed(OperationOptions)
    def post(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a POST operation; see `api_route`."""
        return self.router.post(path, **completed(OperationOptions, options, "FastAPI.post"))

    @signed(OperationOptions)
    def delete(
        self, path: str, **options: Unpack[OperationOptions]
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a DELETE operation; see `api_route`."""
        return self.router.delete(path, **completed(OperationOptions, options, "FastAPI.delete"))

    @signed(OperationOptions)
    def options(
        self, path: str, **options: Unpack[OperationOptions]
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as an OPTIONS operation; see `api_route`."""
        return self.router.options(path, **completed(OperationOptions, options, "FastAPI.options"))

    @signed(OperationOptions)
    def head(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a HEAD operation; see `api_route`."""
        return self.router.head(path, **completed(OperationOptions, options, "FastAPI.head"))

    @signed(OperationOptions)
    def patch(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a PATCH operation; see `api_route`."""
        return self.router.patch(path, **completed(OperationOptions, options, "FastAPI.patch"))

    @signed(OperationOptions)
    def trace(self, path: str, **options: Unpack[OperationOptions]) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a TRACE operation; see `api_route`."""
        return self.router.trace(path, **completed(OperationOptions, options, "FastAPI.trace"))

    # Around all operations

    @deprecated(ON_EVENT_DEPRECATED)
    def on_event(self, event_type: str) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function as a startup or shutdown handler; use `lifespan`."""
        return self.router.on_event(event_type)

    def middleware(self, middleware_type: str) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function `(request, call_next) -> response` as middleware. The type is `"http"`."""
        from forzium.middleware.base import BaseHTTPMiddleware

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.add_middleware(BaseHTTPMiddleware, dispatch=func)
            return func

        return decorator

    def exception_handler(
        self, exc_class_or_status_code: int | type[Exception]
    ) -> Callable[[DecoratedCallable], DecoratedCallable]:
        """Declare a function `(request, exception) -> response` as handler of a status or exception class."""

        def decorator(func: DecoratedCallable) -> DecoratedCallable:
            self.add_exception_handler(exc_class_or_status_code, func)
            return func

        return decorator


def _root_path(request: Request) -> str:
    root_path: str = request.scope.get("root_path", "")
    return root_path.rstrip("/")


def _serve_oauth2_redirect() -> Callable[[Request], Awaitable[Response]]:
    async def swagger_ui_redirect(req: Request) -> HTMLResponse:
        return applications.get_swagger_ui_oauth2_redirect_html()

    return swagger_ui_redirect


# Whoever has replaced it, on an application, in a subclass or on the class, decides what is served.
_OWN_OPENAPI = ForziumApp.openapi

FastAPI = ForziumApp
