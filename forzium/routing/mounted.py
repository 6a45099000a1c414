"""The lifespans of mounted applications, run within that of the application they are mounted in.

ASGI leaves them out: a server speaks the lifespan protocol with the outermost application only. `run_mounted_lifespans`
is asked for; nothing here happens otherwise. Stands on mount, include and lifespan.

Source: ASGI lifespan protocol 2.0, of which this is a server's end. FastAPI has no such thing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import anyio

from forzium.routing.base import BaseRoute
from forzium.routing.include import iter_route_contexts
from forzium.routing.mount import Host, Mount
from forzium.types import ASGIApp, Lifespan, Message

if TYPE_CHECKING:
    from forzium.applications.base import Starlette
    from forzium.routing.router import Router

__all__ = ["run_mounted_lifespans"]


def run_mounted_lifespans(app: Starlette | Router) -> None:
    """Have `app` run the lifespans of the applications mounted in it, at any depth, within its own.

    They start after `app`, in the order of their routes, an outer one before those mounted in it, and stop in reverse.
    One that is mounted twice is started once. What they give as state is put together, and every request sees it;
    where two name a key, the one that started earlier keeps it. If one fails to start, those that have started are
    stopped, and the error is raised. An application that does not speak the protocol is left alone. The routes count
    that are there when `app` starts.

    Args:
        app: An application or a router. Asking twice is asking once.
    """
    router = cast("Router", getattr(app, "router", app))
    if not router.__dict__.get("_runs_mounted"):
        router.__dict__["_runs_mounted"] = True
        router.lifespan_context = _around_mounted(router, router.lifespan_context)


def _around_mounted(router: Router, own: Lifespan[Any]) -> Lifespan[Any]:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Any] | None]:
        async with AsyncExitStack() as exits:
            states = [await exits.enter_async_context(own(app))]
            for mounted in {id(mounted): mounted for mounted in _applications(router.routes)}.values():
                states.append(await exits.enter_async_context(_served(mounted)))
            given = [state for state in states if state is not None]
            yield {key: value for state in reversed(given) for key, value in state.items()} if given else None

    return cast("Lifespan[Any]", lifespan)


def _applications(routes: Sequence[BaseRoute]) -> Iterator[ASGIApp]:
    """The mounted applications, each before those below it. One that starts those itself stands for them."""
    for context in iter_route_contexts(routes):
        route = context.original_route
        if isinstance(route, Mount | Host):
            yield route.app
            inner: Any = getattr(route, "_base_app", route.app)
            if not getattr(getattr(inner, "router", inner), "_runs_mounted", False):
                yield from _applications(route.routes or [])


@asynccontextmanager
async def _served(app: ASGIApp) -> AsyncIterator[dict[str, Any] | None]:
    """Run an application's lifespan as a server does; its state, or None where it gives none."""
    conversation = _Conversation(app)
    raised: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(conversation.run)
        # What is raised stays out of the task group, which would wrap it.
        try:
            await conversation.answer()
            yield conversation.state or None
        except BaseException as error:
            raised = error
        try:
            conversation.stopping.set()
            await conversation.answer()
        except Exception as error:
            raised = raised or error
    if raised is not None:
        raise raised


class _Conversation:
    """The lifespan protocol with one application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.state: dict[str, Any] = {}
        self.stopping = anyio.Event()
        self._asked = False
        self._started = False
        self._ended = anyio.Event()
        self._answered = anyio.Event()
        self._answer: Message | None = None
        self._error: Exception | None = None

    async def run(self) -> None:
        """Call the application. What it raises is kept."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self.app(scope, self._receive, self._send)
        except Exception as error:
            self._error = error
        finally:
            self._ended.set()
            self._answered.set()

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        await self.stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        if not message["type"].startswith("lifespan."):
            raise RuntimeError(f"expected a message of the lifespan protocol, but found {message['type']!r}")
        self._answer = message
        self._answered.set()

    async def answer(self) -> None:
        """Wait until the application has answered the last event, or has ended.

        Raises:
            Exception: It failed: what it raised, or a `RuntimeError` with its message.
        """
        await self._answered.wait()
        answer, self._answer = self._answer, None
        if answer is None:
            # It has ended without a word. If that is how it begins, it does not know the protocol.
            if self._started and self._error is not None:
                raise self._error
            return
        if answer["type"].endswith(".failed"):
            await self._ended.wait()
            raise self._error or RuntimeError(answer.get("message") or f"{answer['type']}: no message")
        self._started = True
        if not self._ended.is_set():
            self._answered = anyio.Event()
