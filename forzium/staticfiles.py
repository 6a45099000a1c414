"""Files below a directory, served under a URL.

Stands on ``responses`` and ``exceptions``; an instance is an ASGI application, to be mounted. The disk is touched in
worker threads only.

Not for: one file at a fixed path (`FileResponse`), nor a single-page application with its fallbacks
(``app.frontend()``).

Source: ``starlette.staticfiles``; RFC 9110, 13 (conditional requests).
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, TypeGuard

import anyio
import anyio.to_thread

from forzium._utils import get_route_path
from forzium.datastructures import URL, Headers
from forzium.exceptions import StarletteHTTPException
from forzium.responses import FileResponse, RedirectResponse, Response
from forzium.websockets import WebSocketClose

if TYPE_CHECKING:
    from forzium.types import Receive, Scope, Send

__all__ = ["NotModifiedResponse", "StaticFiles"]

PathLike = str | os.PathLike[str]


class NotModifiedResponse(Response):
    """Answers 304, with those of the given headers that RFC 9110, 15.4.5, wants there."""

    NOT_MODIFIED_HEADERS = ("cache-control", "content-location", "date", "etag", "expires", "vary")

    def __init__(self, headers: Headers) -> None:
        kept = {name: value for name, value in headers.items() if name in self.NOT_MODIFIED_HEADERS}
        super().__init__(status_code=304, headers=kept)


class StaticFiles:
    """Serves the files below directories.

    Args:
        directory: A directory. Default is none.
        packages: Importable packages with files in ``statics``, or pairs of a package and the directory in it. They are
            searched after ``directory``. Default is none.
        html: Serve ``index.html`` for directories and ``404.html`` for what is missing. Default is false.
        check_dir: Insist now that the directory exists. Default is true.
        follow_symlink: Serve what links below a directory point to, even if that is elsewhere. Default is false.

    Raises:
        RuntimeError: the directory does not exist (now or at the first request).
        AssertionError: a package, or the directory in it, cannot be found.
    """

    def __init__(
        self,
        *,
        directory: PathLike | None = None,
        packages: list[str | tuple[str, str]] | None = None,
        html: bool = False,
        check_dir: bool = True,
        follow_symlink: bool = False,
    ) -> None:
        self.directory = directory
        self.packages = packages
        self.all_directories = self.get_directories(directory, packages)
        self.html = html
        self.config_checked = False
        self.follow_symlink = follow_symlink
        if check_dir and directory is not None and not os.path.isdir(directory):
            raise RuntimeError(f"Directory '{directory}' does not exist")

    def get_directories(
        self, directory: PathLike | None = None, packages: list[str | tuple[str, str]] | None = None
    ) -> list[PathLike]:
        """Give all directories to search, in order."""
        directories: list[PathLike] = [] if directory is None else [directory]
        for package in packages or []:
            name, folder = (package, "statics") if isinstance(package, str) else package
            directories.append(_directory_in_package(name, folder))
        return directories

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        assert scope["type"] == "http"
        if not self.config_checked:
            await self.check_config()
            self.config_checked = True
        response = await self.get_response(self.get_path(scope), scope)
        await response(scope, receive, send)

    def get_path(self, scope: Scope) -> str:
        """Give the path asked for, below the mount: separators of the system, ``.`` and ``..`` worked out."""
        return os.path.normpath(os.path.join(*get_route_path(scope).split("/")))

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer a request for a path as `get_path` gives it.

        Raises:
            StarletteHTTPException: 405 for another method than GET and HEAD, 401 for what may not be read, 404.
        """
        if scope["method"] not in ("GET", "HEAD"):
            raise StarletteHTTPException(status_code=405, headers={"Allow": "GET, HEAD"})

        full_path, stat_result = await self._look_up(path)
        if _is_file(stat_result):
            return self.file_response(full_path, stat_result, scope)
        if self.html:
            if stat_result is not None and stat.S_ISDIR(stat_result.st_mode):
                full_path, stat_result = await self._look_up(os.path.join(path, "index.html"))
                if _is_file(stat_result):
                    if scope["path"].endswith("/"):
                        return self.file_response(full_path, stat_result, scope)
                    url = URL(scope=scope)
                    return RedirectResponse(url=url.replace(path=url.path + "/"))
            full_path, stat_result = await self._look_up("404.html")
            if _is_file(stat_result):
                return FileResponse(full_path, stat_result=stat_result, status_code=404)
        raise StarletteHTTPException(status_code=404)

    async def _look_up(self, path: str) -> tuple[str, os.stat_result | None]:
        try:
            return await anyio.to_thread.run_sync(self.lookup_path, path)
        except PermissionError:
            raise StarletteHTTPException(status_code=401)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise StarletteHTTPException(status_code=404)
            raise
        except ValueError:  # NUL and what else no file name can hold
            raise StarletteHTTPException(status_code=404)

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Find a path in the directories: the full path and what the system knows of it, or ("", None).

        Blocks. What lies outside of the directories is not found, by links neither unless they are to be followed.
        """
        if path.startswith(("/", "\\")):
            return "", None
        resolve = os.path.abspath if self.follow_symlink else os.path.realpath
        for directory in self.all_directories:
            root = resolve(os.fspath(directory))
            full_path = resolve(os.path.join(directory, path))
            if os.path.commonpath([full_path, root]) != root:
                continue
            try:
                return full_path, os.stat(full_path)
            except (FileNotFoundError, NotADirectoryError):
                continue
        return "", None

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Answer with a file, or with 304 where the client has it already."""
        response = FileResponse(full_path, status_code=status_code, stat_result=stat_result)
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response

    async def check_config(self) -> None:
        """Find out, once, that the directory is one.

        Raises:
            RuntimeError: it is not.
        """
        if self.directory is None:
            return
        try:
            stat_result = await anyio.to_thread.run_sync(os.stat, self.directory)
        except FileNotFoundError:
            raise RuntimeError(f"StaticFiles directory '{self.directory}' does not exist.")
        if not stat.S_ISDIR(stat_result.st_mode):
            raise RuntimeError(f"StaticFiles path '{self.directory}' is not a directory.")

    def is_not_modified(self, response_headers: Headers, request_headers: Headers) -> bool:
        """Whether the client's copy, by its tag or else by its date, is the current one. Source: RFC 9110, 13.2.2."""
        if tags := request_headers.get("if-none-match"):
            known = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
            return tags.strip() == "*" or response_headers["etag"] in known
        since = _date(request_headers.get("if-modified-since"))
        modified = _date(response_headers.get("last-modified"))
        return since is not None and modified is not None and since >= modified


def _is_file(stat_result: os.stat_result | None) -> TypeGuard[os.stat_result]:
    return stat_result is not None and stat.S_ISREG(stat_result.st_mode)


def _date(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    from email.utils import parsedate

    try:
        return parsedate(text)
    except (ValueError, TypeError, IndexError):  # some texts are too odd even for a parser of odd dates
        return None


def _directory_in_package(package: str, folder: str) -> str:
    from importlib.util import find_spec

    spec = find_spec(package)
    origin = None if spec is None else spec.origin
    assert origin is not None, f"Package {package!r} could not be found."
    directory = os.path.normpath(os.path.join(origin, "..", folder))
    assert os.path.isdir(directory), f"Directory '{folder!r}' in package {package!r} could not be found."
    return directory
