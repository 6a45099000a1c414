"""Work that is done after the response was sent.

Layer: above `forzium.concurrency`.
Not for: queues or retries; a task lives and dies with its request.

Source: `starlette.background` and `fastapi.background`.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ParamSpec

from forzium import _forzium
from forzium._utils import as_written, is_async_callable
from forzium.concurrency import run_in_threadpool

__all__ = ["BackgroundTask", "BackgroundTasks"]

P = ParamSpec("P")


class BackgroundTask:
    """One call to make later. A plain function runs in a worker thread.

    Args:
        func: What to call.
        *args: Its arguments.
        **kwargs: Its keyword arguments.

    Source: `starlette.background.BackgroundTask`.
    """

    def __init__(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        self.func = func
        self.args = args
        self.kwargs = kwargs
        self.is_async = is_async_callable(func)

    async def __call__(self) -> None:
        """Make the call."""
        if self.is_async:
            await self.func(*self.args, **self.kwargs)
        else:
            await run_in_threadpool(self.func, *self.args, **self.kwargs)


class BackgroundTasks(BackgroundTask):
    """Several calls to make later, one after the other; the first one that raises ends the row.

    An endpoint gets them by annotating a parameter with this class.

    Args:
        tasks: Tasks to begin with. Default is none.

    Example:
        >>> from forzium import BackgroundTasks, FastAPI
        >>> app = FastAPI()
        >>> @app.post("/notify/{email}")
        ... async def notify(email: str, tasks: BackgroundTasks):
        ...     tasks.add_task(print, "mail to", email)

    Source: `fastapi.BackgroundTasks`.
    """

    def __init__(self, tasks: Sequence[BackgroundTask] | None = None) -> None:
        self.tasks = list(tasks) if tasks else []

    @_forzium.add_task
    def add_task(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Add a call. `func` may be `def` or `async def`."""
        self.tasks.append(BackgroundTask(func, *args, **kwargs))

    async def __call__(self) -> None:
        """Make the calls."""
        for task in self.tasks:
            with _span(task.func):
                await task()


class OwedTasks(BackgroundTasks):
    """The tasks of an operation with `background_always`: a response calls them, or else the application at its end."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = False

    async def __call__(self) -> None:
        """Make the calls, if nobody has begun to."""
        if not self._begun:
            self._begun = True
            await super().__call__()


# While it holds, the core does what these classes do.
_as_written = as_written(
    BackgroundTask,
    BackgroundTasks,
    methods=("__new__", "__init__", "__call__", "__getattribute__", "__setattr__"),
    fields=("func", "args", "kwargs", "is_async", "tasks"),
)

_NO_SPAN = nullcontext()


def _span(func: Callable[..., Any]) -> AbstractContextManager[None]:
    """Open the telemetry span of a task. Where nothing has imported telemetry, nothing can have switched it on."""
    telemetry = sys.modules.get("forzium.telemetry._api")
    if telemetry is None:
        return _NO_SPAN
    span: AbstractContextManager[None] = telemetry._operation(name="background_task", function=func)
    return span
