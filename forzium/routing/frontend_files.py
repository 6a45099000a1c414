"""The files of a front end, and what answers a page that has none.

Stands on staticfiles; imported with the first front end. Which request comes here is decided in frontend.

Source: FastAPI 0.165 `app.frontend()`.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from forzium.concurrency import run_in_threadpool
from forzium.datastructures import URL, Headers
from forzium.exceptions import StarletteHTTPException
from forzium.responses import RedirectResponse, Response
from forzium.routing.declaration import explained
from forzium.routing.scope import FRONTEND_PATH, fastapi_scope
from forzium.staticfiles import StaticFiles
from forzium.types import Scope

if TYPE_CHECKING:
    from forzium.routing.frontend import Directory, Fallback

__all__ = ["FrontendFiles"]

_PAGES = ("text/html", "application/xhtml+xml")


class FrontendFiles(StaticFiles):
    """A directory with `index.html` files, and a fallback for what it does not have.

    Args:
        directory: The files. Links that lead out of it are not followed.
        fallback: See `FrontendRoute`.
        check_dir: Whether the directory, and a fallback named outright, must exist already.

    Raises:
        RuntimeError: One of them does not.
    """

    def __init__(self, *, directory: Directory, fallback: Fallback, check_dir: bool) -> None:
        self.fallback = fallback
        if check_dir and not os.path.isdir(directory):
            raise RuntimeError(
                explained(
                    f"Frontend directory '{directory}' does not exist. "
                    f"Resolved absolute path: '{os.path.realpath(os.fspath(directory))}'",
                    "build the front end first, or give check_dir=False",
                )
            )
        super().__init__(directory=directory, html=True, check_dir=check_dir, follow_symlink=False)
        if check_dir and fallback in ("index.html", "404.html"):
            _, found = self.lookup_path(fallback)
            if not _is_file(found):
                raise self._missing_fallback(fallback)

    def get_path(self, scope: Scope) -> str:
        """The file asked for, relative to the directory."""
        path = fastapi_scope(scope).get(FRONTEND_PATH, "")
        assert isinstance(path, str)
        return os.path.normpath(os.path.join(*path.split("/")))

    async def get_response_for_scope(self, scope: Scope) -> Response:
        """Answer a request that a front end was chosen for."""
        if not self.config_checked:
            await self.check_config()
            self.config_checked = True
        return await self.get_response(self.get_path(scope), scope)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, a redirect to the directory with its slash, or the fallback.

        Raises:
            StarletteHTTPException: 404 where there is neither, 405 where there is a file but the method is another,
                401 where the file may not be read.
        """
        found = await self._find(path)
        if scope["method"] not in ("GET", "HEAD"):
            raise StarletteHTTPException(status_code=404 if found is None else 405)
        if found is not None:
            full_path, stat_result, is_index = found
            if is_index and not scope["path"].endswith("/"):
                url = URL(scope=scope)
                return RedirectResponse(url=url.replace(path=url.path + "/"))
            return self.file_response(full_path, stat_result, scope)
        if await self._falls_back_to("404.html"):
            return await self._fallback("404.html", scope, status_code=404)
        if await self._falls_back_to("index.html") and _asks_for_page(scope):
            return await self._fallback("index.html", scope, status_code=200)
        raise StarletteHTTPException(status_code=404)

    async def _find(self, path: str) -> tuple[str, os.stat_result, bool] | None:
        """The file at `path`, or the index of the directory there, and whether it is the latter."""
        full_path, found = await self._look_up(path)
        if found is None:
            return None
        if stat.S_ISREG(found.st_mode):
            return full_path, found, False
        if stat.S_ISDIR(found.st_mode):
            full_path, found = await self._look_up(os.path.join(path, "index.html"))
            if found is not None and stat.S_ISREG(found.st_mode):
                return full_path, found, True
        return None

    async def _look_up(self, path: str) -> tuple[str, os.stat_result | None]:
        try:
            return await run_in_threadpool(self.lookup_path, path)
        except PermissionError:
            raise StarletteHTTPException(status_code=401) from None
        except ValueError:  # a NUL in the path
            raise StarletteHTTPException(status_code=404) from None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise StarletteHTTPException(status_code=404) from None
            raise

    async def _falls_back_to(self, name: str) -> bool:
        if self.fallback != "auto":
            return self.fallback == name
        _, found = await run_in_threadpool(self.lookup_path, name)
        return _is_file(found)

    async def _fallback(self, name: str, scope: Scope, *, status_code: int) -> Response:
        full_path, found = await run_in_threadpool(self.lookup_path, name)
        if found is None or not _is_file(found):
            raise self._missing_fallback(name)
        return self.file_response(full_path, found, scope, status_code=status_code)

    def _missing_fallback(self, name: str) -> RuntimeError:
        assert self.directory is not None
        return RuntimeError(
            f"Frontend fallback file '{name}' does not exist in directory '{self.directory}'. "
            f"Resolved absolute directory: '{os.path.realpath(os.fspath(self.directory))}'"
        )


def _is_file(found: os.stat_result | None) -> bool:
    return found is not None and stat.S_ISREG(found.st_mode)


def _asks_for_page(scope: Scope) -> bool:
    """Whether a browser navigates: the `Accept` header names HTML, and not with a quality of 0."""
    from email.message import Message

    for part in Headers(scope=scope).get("accept", "").split(","):
        media_type = Message()
        media_type["content-type"] = part.strip()
        if f"{media_type.get_content_maintype()}/{media_type.get_content_subtype()}" not in _PAGES:
            continue
        quality = media_type.get_param("q")
        try:
            if not isinstance(quality, str) or float(quality) != 0:
                return True
        except ValueError:
            return True
    return False
