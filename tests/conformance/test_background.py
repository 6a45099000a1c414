"""Background tasks after a response: called by the core, one after the other, or as `BackgroundTasks.__call__` does."""

# No `from __future__ import annotations`: the annotations name locals of the builders.
import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from conformance.harness import Framework, Request, compare, frameworks

# What an endpoint does to its tasks: it is given them, the framework and a function that makes named tasks.
Prepare = Callable[[Any, Framework, Callable[[Any], Any]], None]


def in_order(tasks: Any, fw: Framework, named: Callable[[Any], Any]) -> None:
    tasks.add_task(named("first"))
    tasks.add_task(named("second"), 1, two=2)


def sync_and_async(tasks: Any, fw: Framework, named: Callable[[Any], Any]) -> None:
    class Callable:
        async def __call__(self, *args: Any) -> None:
            await named("object")(*args)

    tasks.add_task(named("sync").now, 1)
    tasks.add_task(named("async"))
    tasks.add_task(functools.partial(named("partial"), 1), 2)
    tasks.add_task(Callable(), 3)


def one_fails(tasks: Any, fw: Framework, named: Callable[[Any], Any]) -> None:
    tasks.add_task(named("first"))
    tasks.add_task(named(ValueError("task")))
    tasks.add_task(named("never"))


def one_cannot_be_called(tasks: Any, fw: Framework, named: Callable[[Any], Any]) -> None:
    tasks.add_task(named("first"), 1)
    tasks.tasks[0].kwargs = {"args": 1}
    tasks.add_task(lambda: 1)
    tasks.tasks[1].is_async = True


def one_adds_others(tasks: Any, fw: Framework, named: Callable[[Any], Any]) -> None:
    tasks.add_task(named(lambda: tasks.add_task(named("added"))))
    tasks.add_task(named("second"))


def one_takes_others_away(tasks: Any, fw: Framework, named: Callable[[Any], Any]) -> None:
    tasks.add_task(named(lambda: tasks.tasks.pop()))
    tasks.add_task(named("second"))
    tasks.add_task(named("third"))


def one_replaces_the_list(tasks: Any, fw: Framework, named: Callable[[Any], Any]) -> None:
    tasks.add_task(named(lambda: setattr(tasks, "tasks", [])))
    tasks.add_task(named("second"))


def the_list_is_something_else(tasks: Any, fw: Framework, named: Callable[[Any], Any]) -> None:
    tasks.add_task(named("first"))
    tasks.add_task(named("second"))
    tasks.tasks = iter(tasks.tasks)


def the_list_holds_something_else(tasks: Any, fw: Framework, named: Callable[[Any], Any]) -> None:
    class Loud(fw.starlette.background.BackgroundTask):  # type: ignore[misc]
        async def __call__(self) -> None:
            await named("loud")(*self.args)

    class Quiet(fw.starlette.background.BackgroundTask):  # type: ignore[misc]
        pass

    tasks.tasks += [Loud(named("never"), 1), Quiet(named("quiet"), 2), named("plain")]


def a_task_is_changed(tasks: Any, fw: Framework, named: Callable[[Any], Any]) -> None:
    tasks.add_task(named("before"), 1, one=1)
    task = tasks.tasks[0]
    task.func, task.args, task.kwargs = named("after"), [2, 3], {"two": 2}


PREPARE = [
    in_order,
    sync_and_async,
    one_fails,
    one_cannot_be_called,
    one_adds_others,
    one_takes_others_away,
    one_replaces_the_list,
    the_list_is_something_else,
    the_list_holds_something_else,
    a_task_is_changed,
]


def build(fw: Framework, prepare: Prepare) -> Any:
    app = fw.FastAPI()
    log: list[Any] = []

    def named(name: Any) -> Any:
        def now(*args: Any, **kwargs: Any) -> None:
            log.append(("called" if callable(name) else str(name), args, kwargs))
            if isinstance(name, Exception):
                raise name
            if callable(name):
                name()

        async def later(*args: Any, **kwargs: Any) -> None:
            now(*args, **kwargs)

        later.now = now  # type: ignore[attr-defined]
        return later

    @app.get("/injected")
    async def injected(tasks: fw.BackgroundTasks) -> int:
        prepare(tasks, fw, named)
        return 1

    @app.get("/returned")
    async def returned() -> Any:
        tasks = fw.BackgroundTasks()
        prepare(tasks, fw, named)
        return fw.responses.JSONResponse(1, background=tasks)

    @app.get("/log")
    async def read() -> Any:
        return log

    return app


@pytest.mark.parametrize("watched", [False, True], ids=["in place", "in python"])
@pytest.mark.parametrize("prepare", PREPARE, ids=lambda prepare: prepare.__name__)
def test_what_becomes_of_tasks(prepare: Prepare, watched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Once any request of the process was watched, telemetry is asked about every task.
    monkeypatch.setattr(import_module("forzium.telemetry._api"), "is_active", watched)
    outcomes = compare(lambda fw: build(fw, prepare), *map(Request, ("/injected", "/log", "/returned", "/log")))
    assert all(outcome.status == 200 for outcome in outcomes)


@pytest.mark.parametrize("replaced", ["add_task", "__init__", "__call__", "tasks' __call__"])
def test_what_somebody_has_put_in_the_place_of_a_method_is_called(
    replaced: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: dict[str, list[str]] = {}
    for fw in frameworks():
        name = replaced.split()[-1]
        of = fw.starlette.background.BackgroundTask if replaced in ("__init__", "__call__") else fw.BackgroundTasks
        own, log = getattr(of, name), called.setdefault(fw.name, [])

        def stand_in(self: Any, *args: Any, own: Any = own, log: Any = log, **kwargs: Any) -> Any:
            log.append(replaced)
            return own(self, *args, **kwargs)

        monkeypatch.setattr(of, name, stand_in)
    compare(lambda fw: build(fw, in_order), *map(Request, ("/injected", "/log")))
    ours, theirs = called["forzium"], called["fastapi"]
    assert ours == theirs
    assert replaced in ours


def test_a_task_that_was_added_is_like_one_that_was_made() -> None:
    async def coroutine() -> None: ...

    def plain() -> None: ...

    for fw in frameworks():
        task = fw.starlette.background.BackgroundTask
        for func in (coroutine, plain, functools.partial(coroutine), print):
            tasks = fw.BackgroundTasks()
            tasks.add_task(func, 1, 2, three=3)
            [added] = tasks.tasks
            assert type(added) is task
            assert vars(added) == vars(task(func, 1, 2, three=3))
