"""Python functions that the Rust core calls while a request runs: where Python's own machinery is the rule.

Stands on concurrency, exceptions, responses and dependencies. The names are those in
`rust/forzium-py/src/imports.rs`. Nothing here decides what happens next: that is the core's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import AsyncExitStack
from contextvars import copy_context
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from forzium._fields.field import located_errors
from forzium._threads import call_beyond_the_limit, call_in_thread
from forzium.background import OwedTasks
from forzium.concurrency import run_in_threadpool
from forzium.datastructures import URL
from forzium.exceptions import (
    FastAPIError,
    RequestValidationError,
    ResponseValidationError,
    StarletteHTTPException,
    WebSocketRequestValidationError,
)
from forzium.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from forzium.utils import is_body_allowed_for_status_code

if TYPE_CHECKING:
    from forzium.requests import Request
    from forzium.types import Scope


# Routing


def redirect(scope: Scope) -> Response:
    """Redirect to the URL of `scope`."""
    return RedirectResponse(url=str(URL(scope=scope)))


def plain_text(text: str, status_code: int) -> Response:
    """Make a plain answer, for a router outside of an application."""
    return PlainTextResponse(text, status_code=status_code)


# Calling


Step = tuple[Callable[..., Any], tuple[str, ...], list[Any], list[tuple[int, int]]]


async def run_trip(steps: list[Step]) -> list[Any]:
    """Make several calls in one worker thread, one after the other, where the core has no threads of its own.

    Args:
        steps: For each call the callable, the names and values of its keyword arguments, and which of these are the
            values of earlier calls: the place of the argument and the place of the call.

    Returns:
        The values of the calls. What one of them raises ends the trip.
    """
    if len(steps) == 1:
        call, names, values, _ = steps[0]
        return [await call_in_thread(_call, call, names, values)]
    return await call_in_thread(_travel, steps)


def _travel(steps: list[Step]) -> list[Any]:
    results: list[Any] = []
    here = copy_context()
    for call, names, values, fills in steps:
        for argument, earlier in fills:
            values[argument] = results[earlier]
        # As if each had gone alone: what one sets in its context, the next does not see.
        results.append(here.copy().run(_call, call, names, values))
    return results


def _call(call: Callable[..., Any], names: tuple[str, ...], values: list[Any]) -> Any:
    return call(**dict(zip(names, values, strict=True)))


async def call_handler_in_thread(handler: Callable[[Any, Any], Any], request: Any, exception: Exception) -> Any:
    """Call a plain exception handler in a worker thread."""
    return await run_in_threadpool(handler, request, exception)


async def validate_in_thread(validate: Callable[..., Any], value: Any) -> Any:
    """Validate what a plain function returned, in a worker thread as well."""
    return await run_in_threadpool(validate, value, from_attributes=True)


async def enter_sync_generator(generator: Generator[Any, None, None]) -> Any:
    """Run a generator up to its `yield`, in a worker thread.

    Cancellation: by anyio, waits for the `yield`; by asyncio, is raised at once, and the generator is closed as soon as
    it has come there. Nobody else would give back what it holds.

    Raises:
        RuntimeError: It does not yield.
    """
    ends: list[str] = []
    try:
        return await run_in_threadpool(_first, generator, ends)
    except GeneratorExit:  # nothing may be waited for; who drops the generator closes it
        raise
    except BaseException:
        if _is_second(ends, "the wait's"):
            await call_beyond_the_limit(generator.close)
        raise


def _first(generator: Generator[Any, None, None], ends: list[str]) -> Any:
    try:
        value = next(generator)
    except StopIteration:
        raise RuntimeError("generator didn't yield") from None
    except StopAsyncIteration as error:
        raise _in_generator(error) from error
    if _is_second(ends, "the thread's"):
        generator.close()
    return value


def _is_second(ends: list[str], own: str) -> bool:
    """Whether the other end came before. Safe between threads: appending is one step."""
    ends.append(own)
    return ends[0] is not own


def _in_generator(error: StopAsyncIteration) -> RuntimeError:
    """What this exception becomes in FastAPI, where an async generator enters and leaves the plain one."""
    return RuntimeError("async generator raised StopAsyncIteration")


async def exit_sync_generator(generator: Generator[Any, None, None], exception: BaseException | None) -> bool:
    """Run a generator from its `yield` to its end, in a worker thread of its own that no limit holds back.

    Returns:
        Whether it swallowed the exception.

    Source: `contextlib.contextmanager`; FastAPI, `contextmanager_in_threadpool`.
    """
    try:
        return await call_beyond_the_limit(_leave, generator, exception)
    except StopAsyncIteration as error:
        raise _in_generator(error) from error


def _leave(generator: Generator[Any, None, None], exception: BaseException | None) -> bool:
    if exception is None:
        try:
            next(generator)
        except StopIteration:
            return False
        try:
            raise RuntimeError("generator didn't stop")
        finally:
            generator.close()
    traceback = exception.__traceback__
    try:
        generator.throw(exception)
    except StopIteration as stop:
        return stop is not exception
    except RuntimeError as error:
        if error is exception or (isinstance(exception, StopIteration) and error.__cause__ is exception):
            exception.__traceback__ = traceback
            return False
        raise
    except BaseException as error:
        if error is exception:
            exception.__traceback__ = traceback
            return False
        raise
    try:
        raise RuntimeError("generator didn't stop after throw()")
    finally:
        generator.close()


async def throw_into(generator: AsyncGenerator[Any, None], exception: BaseException) -> bool:
    """Throw an exception into an async generator that stands at its `yield`.

    Returns:
        Whether it swallowed the exception.

    Source: `contextlib.asynccontextmanager`.
    """
    traceback = exception.__traceback__
    try:
        await generator.athrow(exception)
    except StopAsyncIteration as stop:
        return stop is not exception
    except RuntimeError as error:
        wrapped = isinstance(exception, (StopIteration, StopAsyncIteration)) and error.__cause__ is exception
        if error is exception or wrapped:
            exception.__traceback__ = traceback
            return False
        raise
    except BaseException as error:
        if error is exception:
            exception.__traceback__ = traceback
            return False
        raise
    try:
        raise RuntimeError("generator didn't stop after athrow()")
    finally:
        await generator.aclose()


def push_exits(scope: Scope, function: Any, request: Any, closing: Any) -> None:
    """Give clean-up to the exit stacks that `request_response` put into the scope.

    Args:
        scope: The ASGI scope.
        function: What ends before the response is sent.
        request: What ends after it.
        closing: A form to close at the very end, if one was read.
    """
    for key, exits in (("fastapi_inner_astack", request), ("fastapi_function_astack", function)):
        stack = scope.get(key)
        if not isinstance(stack, AsyncExitStack):
            raise FastAPIError(f"{key} not found in request scope: call a route's handler through request_response()")
        stack.push_async_exit(functools.partial(_leave_exits, exits))
    if closing is not None:
        outer = scope.get("fastapi_middleware_astack") or scope["fastapi_inner_astack"]
        outer.push_async_callback(closing.close)


async def _leave_exits(exits: Any, _kind: Any, exception: BaseException | None, _traceback: Any) -> bool:
    swallowed: bool = await exits.leave(exception)
    return swallowed


def swallowed() -> FastAPIError:
    """The error for a dependency that swallowed the exception without which there is no response."""
    from forzium.routing.handler import _RESPONSE_NOT_AWAITED

    return FastAPIError(_RESPONSE_NOT_AWAITED)


# Reading the body


async def read_form(request: Request, limits: dict[str, int]) -> Any:
    """Read the body as a form.

    Raises:
        StarletteHTTPException: With status 400, it is none.
    """
    from forzium.routing.scope import resolve_form_limits

    try:
        return await request.form(**resolve_form_limits(request.scope.get("fastapi", {}), limits))
    except StarletteHTTPException:
        raise
    except Exception as error:
        raise body_unreadable(request.scope, error) from error


async def read_request_body(request: Request, strict: bool, context: Any) -> tuple[bool, Any]:
    """Read the body through a `Request` that Python code made, and that may read it in a way of its own.

    Returns:
        Whether there is a body, and the parsed JSON or the bytes.

    Raises:
        RequestValidationError: It is not the JSON that its media type says.
        StarletteHTTPException: With status 400, it cannot be read.
    """
    import json

    try:
        body = await request.body()
        if not body:
            return False, None
        content_type = request.headers.get("content-type")
        if not (_is_json(content_type) if content_type else not strict):
            return True, body
        return True, await request.json()
    except json.JSONDecodeError as error:
        raise json_invalid(request.scope, error, context) from error
    except StarletteHTTPException:
        raise
    except Exception as error:
        raise body_unreadable(request.scope, error) from error


def _is_json(content_type: str) -> bool:
    essence = content_type.split(";", 1)[0].strip().lower()
    kind, slash, subtype = essence.partition("/")
    return (
        bool(slash)
        and kind == "application"
        and "/" not in subtype
        and (subtype == "json" or subtype.endswith("+json"))
    )


def json_invalid(scope: Scope, error: Any, context: Any) -> Exception:
    """The exception for a body that is not JSON.

    Args:
        scope: The ASGI scope.
        error: What reading it raised: `json.JSONDecodeError`, or anything else.
        context: Where the endpoint stands.
    """
    import json

    if not isinstance(error, json.JSONDecodeError):
        return body_unreadable(scope, error)
    detail = {
        "type": "json_invalid",
        "loc": ("body", error.pos),
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": error.msg},
    }
    invalid = RequestValidationError([detail], body=error.doc, endpoint_ctx=context)
    invalid.__cause__ = error
    return invalid


def body_unreadable(scope: Scope, error: Any) -> Exception:
    """The exception for a body that could not be read: that of a size limit, else 400."""
    from forzium._body_limit import get_body_limit_error
    from forzium.formparsers import MultiPartException
    from forzium.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY

    if isinstance(error, StarletteHTTPException):
        return error
    if isinstance(error, MultiPartException) and "app" in scope:
        return StarletteHTTPException(status_code=400, detail=error.message)
    if MAX_BODY_SIZE_SCOPE_KEY in scope and (limit := get_body_limit_error(error)) is not None:
        return limit
    unreadable = StarletteHTTPException(status_code=400, detail="There was an error parsing the body")
    unreadable.__cause__ = error
    return unreadable


# Errors of validation


def request_invalid(errors: list[Any], body: Any, context: Any) -> Exception:
    """The exception for a request with validation errors."""
    return RequestValidationError(errors, body=body, endpoint_ctx=context)


def websocket_invalid(errors: list[Any], context: Any) -> Exception:
    """The exception for a WebSocket handshake with validation errors."""
    return WebSocketRequestValidationError(errors, endpoint_ctx=context)


def response_invalid(error: Any, value: Any, context: Any) -> Exception:
    """The exception for an endpoint that returned something else than its response model says."""
    errors = located_errors(error.errors(include_url=False), ("response",))
    return ResponseValidationError(errors=errors, body=value, endpoint_ctx=context)


# Making responses


def injected_response() -> Response:
    """Make the `Response` that dependencies and endpoints set headers and a status on."""
    response = Response()
    del response.headers["content-length"]
    response.status_code = None  # type: ignore[assignment]
    return response


def owed_tasks(scope: Scope) -> OwedTasks:
    """Make the tasks of an operation with `background_always`, and see that they run."""
    tasks = OwedTasks()
    owed = scope.get("forzium.owed_tasks")
    if owed is not None:
        owed.append(tasks)
    elif (stack := scope.get("fastapi_middleware_astack")) is not None:
        # No application of forzium's is around: `request_response` closes this when an exception was answered.
        stack.push_async_exit(functools.partial(_run_owed, tasks))
    return tasks


async def _run_owed(tasks: OwedTasks, _kind: Any, exception: BaseException | None, _traceback: Any) -> None:
    if exception is None or isinstance(exception, Exception):
        await tasks()


def serialize_general(
    response_class: type[Response], content: Any, status_code: int | None, background: Any, injected: Response | None
) -> Response:
    """Make a response of a declared class."""
    options: dict[str, Any] = {"background": background}
    if status_code is not None:
        options["status_code"] = status_code
    response = response_class(content, **options)
    if not is_body_allowed_for_status_code(response.status_code):
        response.body = b""
    if injected is not None:
        response.headers.raw.extend(injected.headers.raw)
    return response


def written_response(
    modelled: bool, status_code: int, headers: list[tuple[bytes, bytes]], body: bytes, background: Any
) -> Response:
    """Make a response object of what Rust has written, for a route handler's caller.

    It is a plain `Response` where there is a response model (`modelled`), else a `JSONResponse`, as in FastAPI.
    """
    if modelled:
        response = Response(status_code=status_code, media_type="application/json", background=background)
    else:
        response = JSONResponse(None, status_code=status_code, background=background)
    response.body, response.raw_headers = body, headers
    return response


def json_leniently(value: Any, error: ValueError) -> bytes:
    """Write a value that JSON cannot hold as it is: non-finite numbers as `null`, lone surrogates escaped.

    Args:
        value: What an endpoint returned.
        error: Why it could not be written.

    Raises:
        ValueError: It contains itself, or cannot be written for another reason.
    """
    import json

    from forzium.encoders import jsonable_encoder

    if error.__traceback__ is not None or _is_used_up(value):
        raise error  # it came from Python code, which has refused the value; or a part is not there a second time
    try:
        finite = _finite(jsonable_encoder(value))
        escaped = isinstance(error, UnicodeError)
        return json.dumps(finite, ensure_ascii=escaped, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(finite, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    except RecursionError:
        raise error from None


def _is_used_up(value: Any) -> bool:
    """Whether among the data is an iterator whose items the first attempt to write it may have taken."""
    pending, seen = [value], set()
    while pending:
        current = pending.pop()
        if isinstance(current, (dict, list, tuple)):
            if id(current) not in seen:
                seen.add(id(current))
                pending.extend(current.values() if isinstance(current, dict) else current)
        elif isinstance(current, Iterator):
            is_new = isinstance(current, GeneratorType) and current.gi_frame is not None and not current.gi_suspended
            if not is_new:
                return True
    return False


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
