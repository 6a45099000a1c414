"""Exceptions, callables, hosts, convertors, settings, threads, background tasks: each against Starlette's or FastAPI's."""

import functools
import os
import pickle
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import anyio
import anyio.to_thread
import pytest
from hypothesis import example, given
from hypothesis import strategies as st


def outcome(make: Callable[[], Any]) -> Any:
    try:
        return repr(make())
    except Exception as exc:
        return type(exc).__name__, str(exc)


def both(name: str, root: str = "starlette") -> tuple[Any, Any]:
    return import_module(f"forzium.{name}"), import_module(f"{root}.{name}")


CONTEXTS: list[dict[str, Any] | None] = [
    None,
    {},
    {"path": "GET /"},
    {"function": "f", "file": "x.py", "line": 3},
    {"function": "f", "file": "x.py", "line": 3, "path": "GET /"},
    {"function": "f", "file": "x.py", "line": 0, "path": "GET /"},
]


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("errors", [[], [{"type": "missing"}], [{"a": 1}, "two\n"]])
def test_validation_errors_read_alike(errors: Any, context: Any) -> None:
    ours, theirs = both("exceptions", "fastapi")

    def use(m: Any) -> Any:
        seen = []
        for name in ("RequestValidationError", "WebSocketRequestValidationError", "ResponseValidationError"):
            exc = getattr(m, name)(errors, endpoint_ctx=context)
            seen.append((str(exc), repr(exc), exc.errors() is errors, vars(exc)))
            seen.append([base.__name__ for base in type(exc).__mro__ if not base.__name__.startswith("_")])
            with_body = outcome(lambda name=name: vars(getattr(m, name)(errors, body={"a": 1})))
            seen.append(with_body if isinstance(with_body, str) else with_body[0])
        return seen

    assert use(ours) == use(theirs)


@pytest.mark.parametrize("root", ["starlette", "fastapi"])
def test_raised_answers_read_alike(root: str) -> None:
    ours, theirs = both("exceptions", root)
    prefix = "Starlette" if root == "starlette" else ""

    def use(http: Any, websocket: Any) -> Any:
        made = [http(404), http(404, "gone"), http(799), http(status_code=204, detail=None, headers={"a": "b"})]
        made += [http(418, ""), websocket(1008), websocket(1008, "no"), websocket(code=1000, reason=None)]
        return [(str(e), repr(e), e.args, vars(e), vars(pickle.loads(pickle.dumps(e)))) for e in made if e.args]

    mine = use(getattr(ours, f"{prefix}HTTPException"), getattr(ours, f"{prefix}WebSocketException"))
    assert mine == use(theirs.HTTPException, theirs.WebSocketException)


def test_error_models_and_warnings_are_made_alike() -> None:
    ours, theirs = both("exceptions", "fastapi")
    for name in ("RequestErrorModel", "WebSocketErrorModel"):
        mine, reference = getattr(ours, name), getattr(theirs, name)
        assert getattr(ours, name) is mine
        assert mine.__name__ == reference.__name__
        assert mine.model_json_schema() == reference.model_json_schema()
    assert issubclass(ours.DependencyScopeError, ours.FastAPIError)
    assert issubclass(ours.PydanticV1NotSupportedError, RuntimeError)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = ours.Nothing


class Callables:
    async def method(self) -> None: ...
    async def __call__(self) -> None: ...
    def plain(self) -> None: ...
    @classmethod
    async def of_class(cls) -> None: ...


async def _generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    "obj",
    [
        *(
            Callables,
            Callables(),
            Callables().method,
            Callables().plain,
            Callables.of_class,
            print,
            1,
            None,
            _generator,
        ),
        *(functools.partial(Callables().method), functools.partial(functools.partial(Callables())), lambda: None),
        *(AsyncMock(), MagicMock(), functools.partial(AsyncMock()), SimpleNamespace(__call__=Callables().method)),
    ],
    ids=range(16),
)
def test_async_callables_are_told_alike(obj: Any) -> None:
    ours, theirs = both("_utils")
    assert ours.is_async_callable(obj) is theirs.is_async_callable(obj)


@given(st.text("aZ09.:-[]vVgf_~!%@/ \né", max_size=10))
@example("[::1]:0080")
@example("[v1.a:b]:1")
@example("[::ffff:1.2.3.4]")
@example("[::1.2.3.4.5]")
@example("a:65536")
@example("\u017fa")
def test_hosts_are_read_alike(host: str) -> None:
    ours, theirs = both("_utils")
    mine, reference = ours.parse_host_header(host), theirs.parse_host_header(host)
    assert repr(mine) == repr(reference)
    if mine is not None:
        assert (mine.authority, mine.is_valid_port) == (reference.authority, reference.is_valid_port)
    assert ours.parse_host_header(None) is None


@given(st.text("/ab", max_size=5), st.one_of(st.none(), st.text("/ab", max_size=3)))
def test_route_paths_are_found_alike(path: str, root_path: str | None) -> None:
    ours, theirs = both("_utils")
    scope = {"path": path} | ({} if root_path is None else {"root_path": root_path})
    assert ours.get_route_path(scope) == theirs.get_route_path(scope)


@pytest.mark.anyio
async def test_task_groups_collapse_alike() -> None:
    async def fail(kind: str) -> None:
        if kind == "cause":
            raise ValueError(kind) from KeyError("cause")
        try:
            raise KeyError("context")
        except KeyError:
            if kind == "suppressed":
                raise ValueError(kind) from None
            raise ValueError(kind)

    async def use(m: Any, *kinds: str) -> Any:
        try:
            async with m.create_collapsing_task_group() as group:
                for kind in kinds:
                    group.start_soon(fail, kind)
        except ExceptionGroup as many:
            return sorted(map(str, many.exceptions))
        except Exception as exc:
            return repr(exc), repr(exc.__cause__), type(exc.__context__).__name__, exc.__suppress_context__

    ours, theirs = both("_utils")
    for kinds in (["cause"], ["suppressed"], ["context"], ["cause", "context"], []):
        assert await use(ours, *kinds) == await use(theirs, *kinds)


NUMBERS = [0, 1, -1, 0.1, 1e20, 5e-21, float("nan"), float("inf"), "7", "x", None, True]


@pytest.mark.parametrize("key", ["str", "path", "int", "float", "uuid"])
def test_convertors_convert_alike(key: str) -> None:
    ours, theirs = (module.CONVERTOR_TYPES[key] for module in both("convertors"))
    assert (ours.regex, type(ours).__name__) == (theirs.regex, type(theirs).__name__)
    for value in [*NUMBERS, "", "a/b", "é", uuid.UUID(int=5), "5" * 5000]:
        assert outcome(lambda v=value: ours.to_string(v)) == outcome(lambda v=value: theirs.to_string(v))
    for text in ["0", "007", "1.50", "", "a/b", "9" * 5000, str(uuid.UUID(int=5)), uuid.UUID(int=6).hex]:
        assert outcome(lambda t=text: ours.convert(t)) == outcome(lambda t=text: theirs.convert(t))


def test_registered_convertors_are_kept() -> None:
    ours, _ = both("convertors")
    mine = ours.Convertor()
    ours.register_url_convertor("mine", mine)
    assert ours.CONVERTOR_TYPES.pop("mine") is mine


def test_settings_are_read_alike(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "# comment\nA=1\nB='two words'\nC=\"x\nD = = y\nnothing\nP_A=\nE='\nF=true\n #G=1\n", encoding="utf-8"
    )
    environ = {"A": "0", "T": "TRUE", "N": "no", "U": "é"}

    def use(m: Any) -> Any:
        seen: list[Any] = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            configs = [
                m.Config(file, environ),
                m.Config(environ=environ),
                m.Config(str(file), environ, env_prefix="P_"),
            ]
            configs.append(m.Config("absent.env", environ))
        seen.append([str(w.message) for w in caught])
        for config in configs:
            seen.append(config.file_values)
            for key in "ABCDEFGTNU":
                for kwargs in ({}, {"cast": bool}, {"cast": int, "default": "x"}, {"default": None}, {"default": 3}):
                    seen.append(outcome(lambda c=config, k=key, kw=kwargs: c(k, **kw)))
        env = m.Environ(dict(environ))
        steps = [
            *(
                lambda: env["A"],
                lambda: env.__setitem__("A", "2"),
                lambda: env.__delitem__("A"),
                lambda: env["missing"],
            ),
            *(lambda: env.__setitem__("missing", "1"), lambda: env.__setitem__("T", "2"), lambda: env.__delitem__("N")),
            lambda: (sorted(env), len(env)),
        ]
        return seen, [outcome(step) for step in steps]

    ours, theirs = both("config")
    assert use(ours) == use(theirs)
    assert ours.environ["PATH"] == os.environ["PATH"]


seen_by_thread: ContextVar[str] = ContextVar("seen_by_thread", default="unset")


@pytest.mark.anyio
async def test_threads_see_the_callers_context_and_iterate_to_the_end() -> None:
    async def use(m: Any) -> Any:
        seen_by_thread.set("set")
        values = [value async for value in m.iterate_in_threadpool({"a": 1, "b": None})]
        return await m.run_in_threadpool(seen_by_thread.get), await m.run_in_threadpool(dict, a=1), values

    ours, theirs = both("concurrency")
    assert await use(ours) == await use(theirs)


@pytest.mark.anyio
@pytest.mark.parametrize("swallow", [False, True])
@pytest.mark.parametrize("error", [None, ValueError, anyio.get_cancelled_exc_class], ids=["none", "error", "cancelled"])
async def test_context_managers_in_threads_are_entered_and_left_alike(swallow: bool, error: Any) -> None:
    async def use(m: Any) -> Any:
        events: list[Any] = []

        @contextmanager
        def manager() -> Iterator[int]:
            events.append("enter")
            try:
                yield 1
            except Exception as exc:
                events.append(repr(exc))
                if not swallow:
                    raise
            finally:
                events.append("exit")

        limiter = anyio.to_thread.current_default_thread_limiter()
        before = limiter.total_tokens
        with anyio.CancelScope() as scope:
            try:
                async with m.contextmanager_in_threadpool(manager()) as value:
                    events.append(value)
                    limiter.total_tokens = 1
                    await limiter.acquire_on_behalf_of(events.append)  # the exit must not wait for a free thread
                    if error is anyio.get_cancelled_exc_class:
                        scope.cancel()
                        await anyio.sleep(1)
                    elif error is not None:
                        raise error("raised")
            except ValueError as exc:
                events.append(f"out: {exc}")
            finally:
                limiter.release_on_behalf_of(events.append)
                limiter.total_tokens = before
        return events, scope.cancelled_caught

    ours, theirs = both("concurrency", "fastapi")
    assert await use(ours) == await use(theirs)


@pytest.mark.anyio
async def test_a_dependency_limit_counts_each_declaration_for_itself() -> None:
    async def use(m: Any) -> Any:
        one, other = m._DependencyConcurrency(2), m._DependencyConcurrency(1)
        assert one.get_semaphore() is one.get_semaphore()
        most = 0

        @m.asynccontextmanager
        async def held() -> Any:
            nonlocal most
            most = max(most, 2 - one.get_semaphore().value)
            await anyio.lowlevel.checkpoint()
            yield

        async def hold() -> None:
            async with m._contextmanager_with_concurrency_limit(held(), one.get_semaphore()):
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(hold)
        return most, one.get_semaphore().value, other.get_semaphore().value

    ours, theirs = both("concurrency", "fastapi")
    assert await use(ours) == await use(theirs)


@pytest.mark.anyio
async def test_background_tasks_run_in_order_until_one_fails() -> None:
    async def use(m: Any) -> Any:
        ran: list[Any] = []

        async def later(*args: Any, **kwargs: Any) -> None:
            ran.append((args, kwargs))

        def fail() -> None:
            ran.append("fail")
            raise ValueError("task")

        tasks = m.BackgroundTasks([import_module(m.__name__.replace("fastapi", "starlette")).BackgroundTask(later, 0)])
        tasks.add_task(later, 1, two=2)
        tasks.add_task(ran.append, "sync")
        tasks.add_task(fail)
        tasks.add_task(later)
        with pytest.raises(ValueError, match="task"):
            await tasks()
        return ran, [(task.args, task.kwargs, task.is_async) for task in tasks.tasks][:2]

    ours, theirs = both("background", "fastapi")
    assert await use(ours) == await use(theirs)
