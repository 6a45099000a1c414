"""The documentation pages without any outside host: an application serves their scripts and style sheets itself.

Layer: ``openapi.docs``, ``staticfiles``, ``routing``. The files come from the package drf-spectacular-sidecar, which
ships Swagger UI and ReDoc as they are released (``pip install "forzium[docs]"``); its folder is all that is used of
it, nothing of it is imported. Not for pages of one's own: write those with the functions of ``openapi.docs``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from forzium.openapi.docs import get_redoc_html, get_swagger_ui_html
from forzium.requests import Request
from forzium.responses import HTMLResponse, Response
from forzium.routing import Route
from forzium.staticfiles import StaticFiles

if TYPE_CHECKING:
    from forzium.applications import FastAPI

_PACKAGE = "drf_spectacular_sidecar"

# ReDoc shows its maker's logo from a CDN, and has no option against it; the browser is told not to ask there.
_ONLY_OWN_IMAGES = "img-src 'self' data:"

_Page = Callable[[Request], Awaitable[HTMLResponse]]


def serve_docs(app: FastAPI, *, assets_url: str = "/docs-assets", folder: str | Path | None = None) -> None:
    """Make an application's documentation pages load everything from the application.

    The pages stay where they are, with the parameters they have. ReDoc shows without the web fonts it is designed
    with, and on its page images of other hosts are not loaded.

    Args:
        app: The application, with `docs_url` or `redoc_url` set. assets_url: Path the files are served under. Default
        is ``/docs-assets``. folder: Where the files are: ``swagger-ui-dist/`` and ``redoc/bundles/``. Default is that
        of drf-spectacular-sidecar.

    Raises:
        RuntimeError: The application has no documentation pages, or the files are not there.
    """
    source = _folder_of_package() if folder is None else Path(folder)
    if not source.is_dir():
        raise RuntimeError(f"expected a folder with the files of the documentation pages, but found none at {source}")
    routes = app.router.routes
    pages: dict[str | None, _Page] = {
        app.docs_url: _swagger_ui(app, assets_url),
        app.redoc_url: _redoc(app, assets_url),
    }
    names = {app.docs_url: "swagger_ui_html", app.redoc_url: "redoc_html"}
    replaced = [
        index
        for index, route in enumerate(routes)
        if isinstance(route, Route) and route.path in pages and route.name == names[route.path]
    ]
    if not replaced:
        raise RuntimeError("expected an application with documentation pages, but found neither docs_url nor redoc_url")
    for index in replaced:
        path = routes[index].path  # type: ignore[attr-defined]  # a Route, as selected above
        routes[index] = Route(path, pages[path], name=names[path], include_in_schema=False)
    # Before the pages: whatever catches all paths stands after them.
    routes.insert(replaced[0], Route(f"{assets_url}/{{file:path}}", _files(source), include_in_schema=False))


def _folder_of_package() -> Path:
    from importlib.util import find_spec

    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(
            "expected drf-spectacular-sidecar, which has the files of the documentation pages, but found none: "
            'pip install "forzium[docs]"'
        )
    return Path(spec.submodule_search_locations[0]) / "static" / _PACKAGE


def _root_path(request: Request) -> str:
    root_path: str = request.scope.get("root_path", "")
    return root_path.rstrip("/")


def _files(source: Path) -> Callable[[Request], Awaitable[Response]]:
    """Serve the files of a folder. Not by a mount: behind a proxy that strips the root path a mount finds nothing."""
    static = StaticFiles(directory=source)

    async def docs_assets(request: Request) -> Response:
        return await static.get_response(request.path_params["file"], request.scope)

    return docs_assets


def _swagger_ui(app: FastAPI, assets_url: str) -> _Page:
    async def swagger_ui_html(request: Request) -> HTMLResponse:
        root_path = _root_path(request)
        files = f"{root_path}{assets_url}/swagger-ui-dist"
        redirect_url = app.swagger_ui_oauth2_redirect_url
        return get_swagger_ui_html(
            openapi_url=f"{root_path}{app.openapi_url}",
            title=f"{app.title} - Swagger UI",
            swagger_js_url=f"{files}/swagger-ui-bundle.js",
            swagger_css_url=f"{files}/swagger-ui.css",
            swagger_favicon_url=f"{files}/favicon-32x32.png",
            oauth2_redirect_url=redirect_url and root_path + redirect_url,
            init_oauth=app.swagger_ui_init_oauth,
            swagger_ui_parameters=app.swagger_ui_parameters,
        )

    return swagger_ui_html


def _redoc(app: FastAPI, assets_url: str) -> _Page:
    async def redoc_html(request: Request) -> HTMLResponse:
        root_path = _root_path(request)
        page = get_redoc_html(
            openapi_url=f"{root_path}{app.openapi_url}",
            title=f"{app.title} - ReDoc",
            redoc_js_url=f"{root_path}{assets_url}/redoc/bundles/redoc.standalone.js",
            redoc_favicon_url=f"{root_path}{assets_url}/swagger-ui-dist/favicon-32x32.png",
            with_google_fonts=False,
        )
        page.headers["content-security-policy"] = _ONLY_OWN_IMAGES
        return page

    return redoc_html
