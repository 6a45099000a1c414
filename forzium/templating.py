"""HTML from Jinja2 templates, which has to be installed (``forzium[templates]``).

Stands on ``requests`` and ``responses``.

Not for: other template engines; return an ``HTMLResponse`` of what they give.

Source: ``starlette.templating``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

from forzium.datastructures import URL
from forzium.requests import Request
from forzium.responses import HTMLResponse

try:
    import jinja2
except ImportError as error:
    raise ImportError("jinja2 must be installed to use Jinja2Templates") from error

if TYPE_CHECKING:
    from forzium.background import BackgroundTask
    from forzium.types import Receive, Scope, Send

__all__ = ["Jinja2Templates"]

ContextProcessor = Callable[[Request], dict[str, Any]]
Directory = str | PathLike[str]


class _TemplateResponse(HTMLResponse):
    """The page; ``template`` and ``context`` stay readable, for test clients."""

    def __init__(
        self,
        template: Any,
        context: dict[str, Any],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        self.template = template
        self.context = context
        super().__init__(template.render(context), status_code, headers, media_type, background)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        extensions = self.context.get("request", {}).get("extensions") or {}
        if "http.response.debug" in extensions:
            await send({"type": "http.response.debug", "info": {"template": self.template, "context": self.context}})
        await super().__call__(scope, receive, send)


class Jinja2Templates:
    """Renders templates, in which ``url_for(name, **path_params)`` gives the URL of a route.

    Args:
        directory: Where the templates are, one directory or several. Excludes ``env``.
        context_processors: Functions of the request whose results are added to every context. Default is none.
        env: A Jinja2 environment to use; a ``url_for`` it has is kept. Excludes ``directory``.

    Raises:
        AssertionError: neither or both of ``directory`` and ``env``.
    """

    env: jinja2.Environment

    @overload
    def __init__(
        self, directory: Directory | Sequence[Directory], *, context_processors: list[ContextProcessor] | None = None
    ) -> None: ...

    @overload
    def __init__(
        self, *, env: jinja2.Environment, context_processors: list[ContextProcessor] | None = None
    ) -> None: ...

    def __init__(
        self,
        directory: Directory | Sequence[Directory] | None = None,
        *,
        context_processors: list[ContextProcessor] | None = None,
        env: jinja2.Environment | None = None,
    ) -> None:
        assert bool(directory) ^ bool(env), "either 'directory' or 'env' arguments must be passed"
        self.context_processors = context_processors or []
        if env is not None:
            self.env = env
        elif directory is not None:
            loader = jinja2.FileSystemLoader(directory)
            self.env = jinja2.Environment(loader=loader, autoescape=jinja2.select_autoescape())
        self._setup_env_defaults(self.env)

    def _setup_env_defaults(self, env: jinja2.Environment) -> None:
        @jinja2.pass_context
        def url_for(context: Mapping[str, Any], name: str, /, **path_params: Any) -> URL:
            request: Request = context["request"]
            return request.url_for(name, **path_params)

        env.globals.setdefault("url_for", url_for)

    def get_template(self, name: str) -> jinja2.Template:
        """Load a template.

        Raises:
            jinja2.TemplateNotFound: there is none of that name.
        """
        return self.env.get_template(name)

    def TemplateResponse(
        self,
        request: Request,
        name: str,
        context: dict[str, Any] | None = None,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
    ) -> _TemplateResponse:
        """Render a template as a response.

        Args:
            request: The request, which templates see as ``request``.
            name: Name of the template.
            context: What templates see besides; what context processors give goes into it. Default is nothing.
            status_code: A three-digit status. Default is 200.
            headers: Headers to send. Default is none.
            media_type: Value of ``content-type``. Default is "text/html".
            background: A task to run after the response was sent. Default is none.
        """
        context = context or {}
        context.setdefault("request", request)
        for context_processor in self.context_processors:
            context.update(context_processor(request))
        return _TemplateResponse(
            self.get_template(name),
            context,
            status_code=status_code,
            headers=headers,
            media_type=media_type,
            background=background,
        )
