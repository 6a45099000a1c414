"""Methods that are native: to whoever calls, inspects, copies, replaces or derives they are FastAPI's, written in Python."""

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any, get_type_hints
from unittest import mock

import pytest

from conformance.harness import Framework, Request, compare, frameworks


async def work(*args: Any, **kwargs: Any) -> None: ...


def said(ask: Callable[[], Any]) -> Any:
    """What `ask` gives, or the error that it raises."""
    try:
        return ask()
    except Exception as error:
        return type(error).__name__, str(error)


def alike(facts: Callable[[Framework], list[Callable[[], Any]]]) -> list[Any]:
    """What both frameworks say to each of the facts."""
    theirs, ours = ([said(fact) for fact in facts(fw)] for fw in frameworks())
    assert ours == theirs
    return ours


def test_the_arguments_of_a_background_task() -> None:
    def facts(fw: Framework) -> list[Callable[[], Any]]:
        tasks = fw.BackgroundTasks

        class Own(tasks):  # type: ignore[misc, valid-type]
            pass

        def added(*args: Any, of: Any = tasks, **kwargs: Any) -> Any:
            own = of()
            own.add_task(*args, **kwargs)
            return [(type(task).__name__, list(vars(task).items())) for task in own.tasks]

        def elsewhere(row: Any) -> Any:
            own = tasks()
            own.tasks = row
            own.add_task(work)
            return own.tasks

        return [
            lambda: added(work),
            lambda: added(work, 1, two=2),
            lambda: added(func=work, one=1),
            lambda: added(print, args=1, kwargs=2, tasks=3),
            lambda: added(work, 1, of=Own),
            lambda: added(None),
            lambda: added(),
            lambda: added(work, func=1),
            lambda: added(work, self=1),
            lambda: tasks.add_task(),
            lambda: tasks.__new__(tasks).add_task(work),
            lambda: elsewhere(()),
            lambda: elsewhere(mock.MagicMock()).append.call_count,
        ]

    assert len(alike(facts)[1]) == 1


def test_the_arguments_of_an_http_exception() -> None:
    def facts(fw: Framework) -> list[Callable[[], Any]]:
        def made(*args: Any, **kwargs: Any) -> Any:
            error = fw.HTTPException(*args, **kwargs)
            again, other = copy.copy(error), pickle.loads(pickle.dumps(error))
            return [(list(vars(each).items()), repr(each), str(each), each.args) for each in (error, again, other)]

        def again() -> Any:
            error = fw.HTTPException(418, "first", {"x-own": "1"})
            error.extra = 1
            error.__init__(419, detail="second")
            return vars(error)

        return [
            lambda: made(418, "short"),
            lambda: made(418, "short", {"x-own": "1"}),
            lambda: made(418, headers={"x-own": "1"}, detail=[1, None]),
            lambda: made(detail=False, status_code="none"),
            lambda: made(418),
            lambda: made(599, None),
            lambda: made(),
            lambda: made(detail="short"),
            lambda: made(1, 2, 3, 4),
            lambda: made(418, "short", status_code=1),
            lambda: made(418, "short", other=1),
            lambda: fw.HTTPException.__init__(),
            again,
        ]

    assert alike(facts)[-1] == {"status_code": 419, "detail": "second", "headers": None, "extra": 1}


def test_native_methods_look_like_functions() -> None:
    def facts(fw: Framework) -> list[Callable[[], Any]]:
        tasks = fw.BackgroundTasks()
        found: list[Callable[[], Any]] = [
            lambda: copy.deepcopy(tasks.add_task).__self__ is tasks,
            lambda: pickle.loads(pickle.dumps(tasks.add_task)).__name__,
            lambda: inspect.ismethod(tasks.add_task),
            lambda: mock.create_autospec(fw.BackgroundTasks)().add_task(),
            lambda: mock.create_autospec(fw.HTTPException)(1, 2, 3, 4),
            lambda: list(inspect.signature(fw.HTTPException).parameters),
            lambda: list(inspect.signature(tasks.add_task).parameters),
        ]
        for of, name in ((fw.BackgroundTasks, "add_task"), (fw.HTTPException, "__init__")):
            method = getattr(of, name)
            found += [
                lambda method=method: (method.__name__, method.__qualname__, method.__module__.partition(".")[2]),
                lambda method=method: [(at.name, at.kind) for at in inspect.signature(method).parameters.values()],
                lambda method=method: sorted(get_type_hints(method)),
                lambda method=method: (inspect.isfunction(method), inspect.iscoroutinefunction(method)),
                lambda method=method: inspect.getsource(method).count(f"def {method.__name__}("),
                lambda method=method: pickle.loads(pickle.dumps(method)) is copy.deepcopy(method) is method,
            ]
        return found

    alike(facts)


@pytest.mark.parametrize(
    "replaced", ["nothing", "status_code", "headers", "__init__", "base's __init__", "__setattr__"]
)
def test_what_somebody_has_put_into_http_exception_counts(replaced: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, called = replaced.split()[-1], {}
    for fw in frameworks():
        of = fw.starlette.exceptions.HTTPException if replaced.startswith("base") else fw.HTTPException
        log = called[fw.name] = []  # type: ignore[var-annotated]
        if name.startswith("__"):

            def stand_in(self: Any, *args: Any, own: Any = getattr(of, name), log: Any = log, **kwargs: Any) -> Any:
                if args[:1] != ("__traceback__",):
                    log.append(args[0] if name == "__setattr__" else name)
                return own(self, *args, **kwargs)

            monkeypatch.setattr(of, name, stand_in)
        elif name != "nothing":
            value = 419 if name == "status_code" else {"x-own": "1"}
            fake = property(lambda self, value=value: value, lambda self, value, log=log: log.append(value))
            monkeypatch.setattr(of, name, fake, raising=False)

    def build(fw: Framework) -> Any:
        app = fw.FastAPI()

        @app.get("/")
        async def endpoint() -> None:
            raise fw.HTTPException(418, "short")

        return app

    outcomes = compare(build, Request("/"), Request("/"))
    assert {outcome.status for outcome in outcomes} == {419 if replaced == "status_code" else 418}
    assert called["forzium"] == called["fastapi"]
    assert bool(called["forzium"]) == (replaced != "nothing")
