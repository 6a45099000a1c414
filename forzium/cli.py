"""The command line: ``forzium dev``, ``run``, ``routes`` and ``explain``.

Layer: the top; imports what a command needs when it runs. The server is uvicorn's, an extra: this is not a server.
Programs written for FastAPI run unchanged, for ``import fastapi`` and ``import starlette`` are answered by forzium
(``forzium._alias``).

Commands and options are those of FastAPI's command line, with ``routes`` and ``explain`` added.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

# How the processes uvicorn starts learn what to serve.
_ENTRYPOINT_VARIABLE = "FORZIUM_ENTRYPOINT"
_ALIAS_VARIABLE = "FORZIUM_ALIAS"

_DEFAULT_PORT = 8000

# Where an application is looked for when none is named, in this order.
_USUAL_FILES = ("main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py")
_USUAL_NAMES = ("app", "api")


class CommandError(Exception):
    """Something about the command is wrong; its text is shown to the user, without a traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: The words of the command. Default is those of the process.

    Returns:
        The exit status: 0, or 1 where the command cannot be carried out.

    Raises:
        SystemExit: The command is not understood (2), or help was asked for (0).
    """
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
    except CommandError as error:
        sys.stderr.write(f"forzium: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="forzium",
        description="Run and inspect applications. Programs written for FastAPI run unchanged.",
    )
    parser.add_argument("--version", action="version", version=f"forzium {_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    dev = commands.add_parser("dev", help="serve an application while working on it: local, with reload")
    _add_server_options(dev, host="127.0.0.1", reload=True)
    run = commands.add_parser("run", help="serve an application")
    _add_server_options(run, host="0.0.0.0", reload=False)
    run.add_argument("--workers", type=int, metavar="N", help="number of processes. Default is one")

    routes = commands.add_parser("routes", help="list the routes of an application, in the order they are tried in")
    _add_application(routes)
    routes.set_defaults(command=_routes)

    explain = commands.add_parser("explain", help="show the plan that a request is answered by")
    _add_application(explain, required=True)
    explain.add_argument("method", metavar="METHOD", help="GET, POST, ... or WEBSOCKET")
    explain.add_argument("path", metavar="PATH", help="path of the request, such as /items/1")
    explain.set_defaults(command=_explain)
    return parser


def _add_application(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument(
        "target",
        metavar="APPLICATION",
        nargs=None if required else "?",
        help="module and name as main:app, or a file such as main.py. "
        "Default is the entrypoint in pyproject.toml, else the usual files",
    )
    parser.add_argument("--app", metavar="NAME", help="name of the application in its module. Default is app, then api")
    parser.add_argument("--entrypoint", "-e", metavar="MODULE:NAME", help="the same as APPLICATION")
    parser.add_argument(
        "--no-alias", dest="alias", action="store_false", help="leave `import fastapi` and `import starlette` alone"
    )


def _add_server_options(parser: argparse.ArgumentParser, *, host: str, reload: bool) -> None:
    _add_application(parser)
    add = parser.add_argument
    switch = argparse.BooleanOptionalAction
    add("--host", default=host, help="address to listen at. Default is %(default)s")
    add("--port", type=int, default=_DEFAULT_PORT, help="port to listen at. Default is %(default)s")
    add("--reload", action=switch, default=reload, help="start again when files change")
    add("--reload-dir", action="append", metavar="DIR", help="folder to watch; may be repeated. Default is this one")
    add("--root-path", default="", metavar="PATH", help="path under which a proxy offers the application")
    add("--proxy-headers", action=switch, default=True, help="believe X-Forwarded-Proto and X-Forwarded-For")
    add("--forwarded-allow-ips", metavar="IPS", help="whose forwarded headers to believe, separated by commas")
    parser.set_defaults(command=_serve, workers=None)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("forzium")
    except PackageNotFoundError:
        return "(not installed)"


# --- Serving


def _serve(options: argparse.Namespace) -> None:
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise CommandError(
            "expected uvicorn, the server this command starts, but it is not installed: "
            'pip install "uvicorn[standard]", or "forzium[all]"'
        ) from error
    folder, module, name = _locate(options)
    os.environ[_ENTRYPOINT_VARIABLE] = f"{module}:{name or ''}"
    os.environ[_ALIAS_VARIABLE] = "1" if options.alias else ""
    sys.path.insert(0, str(folder))
    if not options.reload and not options.workers:
        load_application()  # so that its errors come before the server's words
    uvicorn.run(
        "forzium.cli:load_application",
        factory=True,
        app_dir=str(folder),
        host=options.host,
        port=options.port,
        reload=options.reload,
        reload_dirs=options.reload_dir,
        workers=options.workers,
        root_path=options.root_path,
        proxy_headers=options.proxy_headers,
        forwarded_allow_ips=options.forwarded_allow_ips,
    )


def load_application() -> Any:
    """Import the application that the environment names: the factory that the server's processes call.

    Raises:
        CommandError: There is no such application.
    """
    module, _, name = os.environ[_ENTRYPOINT_VARIABLE].partition(":")
    if os.environ.get(_ALIAS_VARIABLE):
        from forzium import _alias

        _alias.install()
    return _import_application(module, name or None)


# --- Finding an application


def _locate(options: argparse.Namespace) -> tuple[Path, str, str | None]:
    """The folder to import from, the module, and the application's name in it (None means: look for it)."""
    target = options.entrypoint or options.target or _entrypoint_of_project()
    if target is None:
        return *_locate_file(_usual_file()), options.app
    module, colon, name = target.partition(":")
    if colon:
        return Path.cwd(), module, options.app or name
    path = Path(target)
    if target.endswith(".py") or path.is_dir() or os.sep in target:
        if not path.exists():
            raise CommandError(f"Path does not exist {target}")
        return *_locate_file(_usual_file(path) if path.is_dir() else path), options.app
    return Path.cwd(), module, options.app


def _entrypoint_of_project() -> str | None:
    """The entrypoint that ``pyproject.toml`` names, under ``tool.forzium`` or ``tool.fastapi``."""
    import tomllib

    path = Path("pyproject.toml")
    if not path.is_file():
        return None
    try:
        tools = tomllib.loads(path.read_text("utf-8")).get("tool", {})
    except (OSError, ValueError) as error:
        raise CommandError(f"expected a readable pyproject.toml, but found: {error}") from error
    for tool in ("forzium", "fastapi"):
        entrypoint = tools.get(tool, {}).get("entrypoint")
        if isinstance(entrypoint, str):
            return entrypoint
    return None


def _usual_file(folder: Path = Path()) -> Path:
    for name in _USUAL_FILES:
        if (folder / name).is_file():
            return folder / name
    raise CommandError(
        f"Could not find a default file to run (looked for {', '.join(_USUAL_FILES)}): "
        "please provide an explicit path, or module:name"
    )


def _locate_file(path: Path) -> tuple[Path, str]:
    """The folder to import a file from and its module's name, with the packages around it."""
    path = path.resolve()
    parts = [] if path.name == "__init__.py" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts)


def _import_application(module_name: str, name: str | None) -> Any:
    """The application `name` of a module, or the one that is found in it.

    Raises:
        CommandError: There is no such module or application in it.
    """
    from importlib import import_module

    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise  # a module the application needs
        raise CommandError(f"expected a module named {module_name!r} in {Path.cwd()}, but found none") from error
    if name is None:
        return _only_application(module)
    application: Any = module
    for part in name.removesuffix("()").split("."):
        application = getattr(application, part, None)
        if application is None:
            raise CommandError(f"expected an application named {name!r} in {module_name!r}, but found none")
    return application() if name.endswith("()") else application


def _only_application(module: Any) -> Any:
    from forzium.applications import Starlette

    members = vars(module)
    for name in (*_USUAL_NAMES, *members):
        if isinstance(members.get(name), Starlette):
            return members[name]
    raise CommandError(f"expected an application in {module.__name__!r}, but found none: name it with --app")


def _application(options: argparse.Namespace) -> Any:
    """The application, imported here and now."""
    if options.alias:
        from forzium import _alias

        _alias.install()
    folder, module, name = _locate(options)
    sys.path.insert(0, str(folder))
    return _import_application(module, name)


# --- Looking at an application


def _routes(options: argparse.Namespace) -> None:
    rows = list(_route_rows(_application(options).routes))
    widths = [max(map(len, column), default=0) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _route_rows(routes: Sequence[Any], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Methods, path and name of each route, those of mounted applications after the mount."""
    from forzium.routing import iter_route_contexts

    for context in iter_route_contexts(routes):
        path = prefix + (context.path or "")
        inner = getattr(context.original_route, "routes", None)
        kind = ",".join(sorted(context.methods or ())) or ("MOUNT" if inner is not None else "WEBSOCKET")
        yield kind, path or "/", context.name or ""
        if inner:
            yield from _route_rows(inner, path)


def _explain(options: argparse.Namespace) -> None:
    application = _application(options)
    try:
        from forzium import explain
    except ImportError as error:
        raise CommandError("expected forzium.explain, but this version has none") from error
    sys.stdout.write(f"{explain(application, options.method.upper(), options.path)}\n")
