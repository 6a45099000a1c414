"""Runs an application's source text and the exchanges with it on one framework, over raw ASGI.

Stands on `prelude`, and on what `random_apps` has for making exceptions comparable.
"""

import logging
import re
import sys
import types
import warnings
import zlib
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import anyio

from ..random_apps.driver import describe, neutral
from .prelude import PRELUDE

# What does not end after this hangs; generous, for machines under load. Seconds.
DEADLINE = 10.0
MODULE = "random_stack"


@dataclass
class Step:
    """One exchange.

    Attributes:
        type: ``http``, ``websocket`` or ``lifespan``.
        method: The method.
        path: The path, decoded.
        headers: Names and values.
        messages: What the host has to say, in order.
        does: What the named parts of the application do.
        change: A statement to execute before.
        breaks_at: Which `send` fails with `OSError`, counted from 0; -1: none.
        keep_cookies: Whether to send the cookies that earlier answers set.
        has_state: Whether a lifespan's scope has a ``state``.
        without: Entries that the scope lacks.
        denial: Whether the host can deny a WebSocket with a response.
    """

    type: str
    method: str = ""
    path: str = ""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    does: dict[str, str] = field(default_factory=dict)
    change: str = ""
    scheme: str = "http"
    root_path: str = ""
    version: str = "2.3"
    breaks_at: int = -1
    keep_cookies: bool = False
    has_state: bool = True
    denial: bool = False
    without: tuple[str, ...] = ()


@dataclass
class Outcome:
    """What a host, the loggers and the application's own code see of one exchange."""

    sent: list[Any]
    raised: list[str]
    logged: list[str]
    log: list[str]


def is_based(source: str) -> bool:
    """Whether there is `http` middleware."""
    return "Based" in source or "dispatched" in source


def uncaused(error: BaseException) -> list[str]:
    """An exception without its causes: behind `http` middleware Starlette takes the context for one."""
    return [line for line in describe(error) if not line.lstrip().startswith("from ")]


class _Own:
    """What one exchange has to itself, also where several go on at once: `LOG` and `DO` as the source text knows them."""

    def __init__(self) -> None:
        self._log: ContextVar[list[str]] = ContextVar("log")
        self._does: ContextVar[dict[str, str]] = ContextVar("does")

    def begin(self, does: dict[str, str]) -> list[str]:
        """Begin an exchange in the present context; gives its log."""
        log: list[str] = []
        self._log.set(log)
        self._does.set(does)
        return log

    def append(self, line: str) -> None:
        """Log a line; what is said after all, as by a generator that is collected, is lost."""
        if (log := self.log()) is not None:
            log.append(line)

    def log(self) -> list[str] | None:
        """The log of the exchange in whose context this is."""
        return self._log.get(None)

    def get(self, name: str, default: str = "") -> str:
        """What the part of that name does."""
        return self._does.get({}).get(name, default)


class _Records(logging.Handler):
    """Keeps what is logged by anybody in the context of an exchange, with the exception."""

    def __init__(self, own: _Own) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._own, self._log = own, own.log()

    def emit(self, record: logging.LogRecord) -> None:
        if self._own.log() is not self._log:
            return
        error = record.exc_info[1] if record.exc_info else None
        text = neutral(record.getMessage().partition("\n")[0])
        self.lines.append(f"{neutral(record.name)} {record.levelname} {text} {uncaused(error) if error else ''}")


@dataclass
class Run:
    """One framework's answers to a case."""

    declared: list[str]
    outcomes: list[Outcome]


def load(source: str, root: str) -> types.ModuleType:
    """Execute the prelude and a source text with the framework of that name."""
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module
    told = uncaused if is_based(source) else describe
    own = _Own()
    module.__dict__.update(LOG=own, DO=own, IS_BASED=is_based(source), DEBUG="debug=True" in source, describe=told)
    text = f"{PRELUDE}\n\n{source}\n".replace("STARLETTE", "starlette" if root == "fastapi" else root)
    exec(compile(re.sub(r"\bROOT\b", root, text), f"<{MODULE}>", "exec", dont_inherit=True), module.__dict__)
    return module


def _scope(step: Step, state: dict[str, Any], cookies: dict[bytes, bytes]) -> dict[str, Any]:
    asgi = {"version": "3.0", "spec_version": step.version}
    if step.type == "lifespan":
        return {"type": "lifespan", "asgi": asgi, **({"state": state} if step.has_state else {})}
    headers = list(step.headers)
    if step.keep_cookies and cookies:
        headers.append((b"cookie", b"; ".join(b"%b=%b" % each for each in cookies.items())))
    scope: dict[str, Any] = {
        "type": step.type,
        "asgi": asgi,
        "http_version": "1.1",
        "scheme": step.scheme if step.type == "http" else step.scheme.replace("http", "ws"),
        "path": step.root_path + step.path,
        "raw_path": (step.root_path + step.path).encode(),
        "root_path": step.root_path,
        "query_string": b"q=1",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "state": dict(state),
        "extensions": {"websocket.http.response": {}} if step.denial else {},
    }
    if step.type == "http":
        scope["method"] = step.method
    else:
        scope["subprotocols"] = ["tea", "coffee"]
    return {key: value for key, value in scope.items() if key not in step.without}


async def exchange(module: types.ModuleType, step: Step, state: dict[str, Any], cookies: dict[bytes, bytes]) -> Outcome:
    """Do one exchange."""
    log = module.LOG.begin(step.does)
    if step.change:
        exec(step.change, module.__dict__)
    sent: list[Any] = []
    raised: list[str] = []
    incoming = [dict(message) for message in step.messages]
    calls = 0
    answered = anyio.Event()

    async def receive() -> dict[str, Any]:
        await anyio.sleep(0)
        if incoming:
            return incoming.pop(0)
        if step.type == "http":
            await answered.wait()
            return {"type": "http.disconnect"}
        if step.type == "lifespan":
            raise RuntimeError("the host has nothing more to say")
        return dict(step.messages[-1])

    async def send(message: dict[str, Any]) -> None:
        nonlocal calls
        calls += 1
        if calls - 1 == step.breaks_at:
            log.append("the host breaks")
            raise OSError("broken pipe")
        if step.breaks_at >= 0 and calls > step.breaks_at:
            raise OSError("broken pipe again")
        await anyio.sleep(0)
        log.append(f"host gets {message['type']}")
        sent.append(dict(message))
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            answered.set()

    records = _Records(module.LOG)
    logging.getLogger().addHandler(records)
    try:
        with anyio.move_on_after(DEADLINE) as deadline:
            try:
                await module.app(_scope(step, state, cookies), receive, send)
            except Exception as error:
                raised = module.describe(error)
            except BaseException as error:
                if deadline.cancel_called:
                    raise
                raised = [type(error).__name__]
        if deadline.cancelled_caught:
            raised = ["it hangs"]
    finally:
        logging.getLogger().removeHandler(records)
    for message in sent:
        for name, value in message.get("headers", ()):
            if name == b"set-cookie":
                key, _, rest = value.partition(b"=")
                cookies[key] = rest.partition(b";")[0]
    return Outcome(comparable(sent, module.DEBUG), raised, records.lines, list(log))


def comparable(sent: list[dict[str, Any]], debug: bool) -> list[Any]:
    """The messages; of an application in debug mode not the page, which has words of its own in forzium; what is compressed as what it holds, cookies that are signed without the time and the signature."""
    if debug and sent and sent[0].get("status") == 500:
        return [value for name, value in sent[0]["headers"] if name == b"content-type"]
    found: list[Any] = []
    inflate: Any = None
    for message in sent:
        message = dict(message)
        if message["type"].endswith("failed"):
            message["message"] = message["message"].strip().rpartition("\n")[2]  # a traceback
        if message["type"].endswith("response.start"):
            coded = dict(message.get("headers", ())).get(b"content-encoding") == b"gzip"
            inflate = zlib.decompressobj(31) if coded else None
            message["headers"] = [
                (name, b"compressed" if coded and name == b"content-length" else _unsigned(value))
                for name, value in message.get("headers", ())
            ]
        if message["type"].endswith("response.body") and inflate is not None:
            try:
                message["body"] = inflate.decompress(message.get("body", b""))
            except zlib.error as error:
                message["body"] = repr(error)
        if message.get("body", b"")[:2] == b"\x1f\x8b":
            message["body"] = "compressed"  # by a middleware whose headers another took away
        if message.get("type") in ("websocket.send", "websocket.accept"):
            message = {key: value for key, value in message.items() if value is not None}
        found.append(message)
    return found


def _unsigned(value: bytes) -> bytes:
    value = re.sub(rb"((?:session|s)=[\w=-]+)\.[\w-]+\.[\w-]+", rb"\1", value)
    return re.sub(rb"expires=[^;]* GMT", b"expires=then", value)


def run(root: str, source: str, steps: list[Step], backend: str = "asyncio", at_once: bool = False) -> Run:
    """Run a case on one framework: one exchange after the other, or, after the lifespan, all of them at once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module = load(source, root)
        except Exception as error:
            return Run(describe(error), [])
        found = Run([], [])

        async def serve() -> None:
            state: dict[str, Any] = {}
            cookies: dict[bytes, bytes] = {}

            outcomes: dict[int, Outcome] = {}

            async def one(number: int, step: Step) -> None:
                outcomes[number] = await exchange(module, step, state, {} if at_once else cookies)

            rows = [list(enumerate(steps))] if at_once else [[row] for row in enumerate(steps)]
            for row in rows:
                async with anyio.create_task_group() as tasks:  # a task for each exchange, as servers have
                    for number, step in row:
                        tasks.start_soon(one, number, step)
            found.outcomes.extend(outcomes[number] for number in sorted(outcomes))

        anyio.run(serve, backend=backend)
    return found
