"""`ServerErrorMiddleware`: what nobody handled becomes a 500, and is raised again for the server's log.

Layer: on `responses`, `requests`, `concurrency`; outermost of an application's stack. `html`, `inspect` and `traceback`
are imported when a debug page is made.
Not for: exceptions with a handler (`middleware.exceptions`), except the handler for `Exception` or 500, given here.

Source: `starlette.middleware.errors`.
"""

from typing import TYPE_CHECKING, Any, cast

from forzium._utils import is_async_callable
from forzium.concurrency import run_in_threadpool
from forzium.requests import ClientDisconnect, Request
from forzium.responses import HTMLResponse, PlainTextResponse, Response

if TYPE_CHECKING:
    import inspect

    from forzium.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

__all__ = ["ServerErrorMiddleware"]

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>500 Server Error</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1d2330; }}
h1 {{ font-size: 1.3rem; color: #9b1c1c; }}
h2 {{ font-size: 1.1rem; white-space: pre-wrap; overflow-wrap: anywhere; }}
details {{ border: 1px solid #cfd6e4; border-radius: 4px; margin: .5rem 0; }}
summary {{ cursor: pointer; padding: .5rem .75rem; background: #eef2f9; }}
pre {{ margin: 0; padding: .5rem 0; overflow-x: auto; font-size: 13px; }}
pre span {{ display: block; padding: 0 .75rem; }}
pre .at {{ background: #ffe3e3; }}
pre i {{ color: #7a869c; font-style: normal; user-select: none; }}
</style>
</head>
<body>
<h1>500 Server Error</h1>
<h2>{error}</h2>
<p>Traceback, innermost call first</p>
{frames}
</body>
</html>
"""
_FRAME = """\
<details{open}>
<summary>File <code>{file}</code>, line {line}, in <b>{function}</b></summary>
<pre>{source}</pre>
</details>
"""


class ServerErrorMiddleware:
    """Answers any exception with a 500 and raises it again.

    It raises in every case, so that a server writes it to its log and a test client can show it.

    Args:
        app: The application to wrap; should be all the rest of the stack.
        handler: Makes the response, from the request and the exception. Default is the text `Internal Server Error`.
        debug: Answer with the traceback instead, never calling `handler`. Default is False.
    """

    def __init__(self, app: "ASGIApp", handler: "ExceptionHandler | None" = None, debug: bool = False) -> None:
        self.app = app
        self.handler = handler
        self.debug = debug

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def noting_start(message: "Message") -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
            await send(message)

        try:
            await self.app(scope, receive, noting_start)
        except ClientDisconnect:
            raise  # nobody is there to be answered
        except Exception as exc:
            await self.respond(scope, receive, send, exc, started)
            raise

    async def respond(
        self, scope: "Scope", receive: "Receive", send: "Send", exc: Exception, response_started: bool
    ) -> None:
        """Make the response for `exc` and send it, unless one has been started; the caller raises `exc` again.

        The handler is called in either case: it may be what reports errors.
        """
        request = Request(scope)
        response: Any
        if self.debug:
            response = await run_in_threadpool(self.debug_response, request, exc)
        elif self.handler is None:
            response = self.error_response(request, exc)
        elif is_async_callable(self.handler):
            response = await cast(Any, self.handler)(request, exc)
        else:
            response = await run_in_threadpool(cast(Any, self.handler), request, exc)
        if not response_started:
            await response(scope, receive, send)

    def format_line(self, index: int, line: str, frame_lineno: int, frame_index: int) -> str:
        """Return one line of source as HTML, marked if it is the one being executed.

        Args:
            index: Place of the line among those shown, from 0.
            line: Its text.
            frame_lineno: Line number in the file of the line being executed.
            frame_index: Place of that line among those shown.
        """
        from html import escape

        mark = ' class="at"' if index == frame_index else ""
        return f"<span{mark}><i>{frame_lineno - frame_index + index:>5}</i> {escape(line.rstrip())}</span>"

    def generate_frame_html(self, frame: "inspect.FrameInfo", is_collapsed: bool) -> str:
        """Return one call of the traceback as HTML, folded or with its source shown."""
        from html import escape

        at = frame.index or 0
        shown = enumerate(frame.code_context or ())
        return _FRAME.format(
            open="" if is_collapsed else " open",
            file=escape(frame.filename),
            line=frame.lineno,
            function=escape(frame.function),
            source="".join(self.format_line(index, text, frame.lineno, at) for index, text in shown),
        )

    def generate_html(self, exc: Exception, limit: int = 7) -> str:
        """Return the debug page.

        Args:
            exc: The exception shown, with its calls, the last one first and unfolded.
            limit: Lines of source around the executed one. Default is 7.
        """
        import inspect
        import traceback
        from html import escape

        # An exception whose text cannot be made is shown all the same: TracebackException sees to that.
        error = "".join(traceback.TracebackException(type(exc), exc, None, compact=True).format_exception_only())
        calls = inspect.getinnerframes(exc.__traceback__, limit) if exc.__traceback__ is not None else []
        frames = (self.generate_frame_html(call, place > 0) for place, call in enumerate(reversed(calls)))
        return _PAGE.format(error=escape(error.strip()), frames="".join(frames))

    def generate_plain_text(self, exc: Exception) -> str:
        """Return the traceback as the interpreter prints it."""
        import traceback

        return "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))

    def debug_response(self, request: Request, exc: Exception) -> Response:
        """Return the traceback as a page, or as plain text for a client that does not ask for `text/html`."""
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(_encodable(self.generate_html(exc)), status_code=500)
        return PlainTextResponse(_encodable(self.generate_plain_text(exc)), status_code=500)

    def error_response(self, request: Request, exc: Exception) -> Response:
        """Return the answer that tells nothing about the error."""
        return PlainTextResponse("Internal Server Error", status_code=500)


def _encodable(text: str) -> str:
    """Return `text` with lone surrogates spelled out: the page about an error must not fail on the error's text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
