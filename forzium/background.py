"""Work that is done after the response was sent.

Layer: above `forzium.concurrency`.
Not for: queues or retries; a task lives and dies with its request.

Source: `starlette.background` and `fastapi.background`.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from inspect import CO_COROUTINE
from types import FunctionType
from typing import Any, ParamSpec

from forzium._utils import is_async_callable
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

    def add_task(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Add a call. `func` may be `def` or `async def`."""
        if BackgroundTask.__init__ is not _INIT:
            self.tasks.append(BackgroundTask(func, *args, **kwargs))
            return
        # The same without calling the class, which would take the arguments apart and put them together again.
        task: Any = _new(BackgroundTask)
        task.func = func
        task.args = args
        task.kwargs = kwargs
        task.is_async = (type(func) is FunctionType and func.__code__.co_flags & CO_COROUTINE != 0) or (
            is_async_callable(func)
        )
        self.tasks.append(task)

    async def __call__(self) -> None:
        """Make the calls."""
        for task in self.tasks:
            with _span(task.func):
                await task()


_new = object.__new__

# As written here, to see where somebody has put a function of their own: `_INIT` by what stands above, the others by
# the core, which makes the calls itself where nobody has.
_INIT = BackgroundTask.__init__
_CALL_ONE = BackgroundTask.__call__
_CALL_ALL = BackgroundTasks.__call__

_NO_SPAN = nullcontext()


def _span(func: Callable[..., Any]) -> AbstractContextManager[None]:
    """Open the telemetry span of a task. Where nothing has imported telemetry, nothing can have switched it on."""
    telemetry = sys.modules.get("forzium.telemetry._api")
    if telemetry is None:
        return _NO_SPAN
    span: AbstractContextManager[None] = telemetry._operation(name="background_task", function=func)
    return span
