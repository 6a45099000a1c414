"""A case by its number, and what differs in it. Here stands also what may differ: `DELIBERATE`.

Stands on `applications`, `traffic` and `driver`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from . import applications, driver, traffic
from .driver import Outcome, Step

EXCHANGES = 7  # with each application
FRAMEWORKS = ("fastapi", "forzium")


@dataclass
class Case:
    """An application and the exchanges with it."""

    number: int
    source: str
    steps: list[Step]
    backend: str
    at_once: bool


def case(seed: int, number: int) -> Case:
    """Draw the case of that number."""
    rng = Random(f"stacks {seed}-{number}")
    application = applications.draw(rng)
    steps = traffic.draw(rng, application, EXCHANGES)
    backend = "trio" if rng.random() < 0.25 else "asyncio"
    at_once = rng.random() < 0.3 and not any(step.change or step.type == "lifespan" for step in steps)
    return Case(number, application.source, steps, backend, at_once)


@dataclass
class Difference:
    """What differs: in which case, in which part of the outcome of which exchange (-1: in the declaration)."""

    case: Case
    kind: str
    step: int
    expected: Any
    found: Any
    theirs: Outcome | None = None
    ours: Outcome | None = None

    def __str__(self) -> str:
        lines = [
            f"case {self.case.number} ({self.case.backend}{' at once' * self.case.at_once}): {self.kind} of exchange {self.step}",
            self.case.source,
            "",
        ]
        lines += [str(each) for each in self.case.steps]
        for name, outcome in (("fastapi", self.theirs), ("forzium", self.ours)):
            lines += [f"--- {name}"]
            if outcome is not None:
                lines += [f"  log    {line}" for line in outcome.log]
                lines += [f"  sent   {line}" for line in outcome.sent]
                lines += [f"  raised {outcome.raised}", f"  logged {outcome.logged}"]
        lines += [f"fastapi: {self.expected!r}", f"forzium: {self.found!r}", ""]
        return "\n".join(lines)


def differences(drawn: Case) -> Iterator[Difference]:
    """Run a case on both frameworks and give what differs, at most once for each exchange."""
    theirs, ours = (driver.run(root, drawn.source, drawn.steps, drawn.backend, drawn.at_once) for root in FRAMEWORKS)
    if theirs.declared != ours.declared:
        if not _same_refusal(theirs.declared, ours.declared):
            yield Difference(drawn, "declaration", -1, theirs.declared, ours.declared)
        return
    for index, (one, other) in enumerate(zip(theirs.outcomes, ours.outcomes, strict=True)):
        for kind in ("log", "sent", "raised", "logged"):
            expected, found = getattr(one, kind), getattr(other, kind)
            if expected != found and not (
                kind == "log" and driver.is_based(drawn.source) and _by_part(expected) == _by_part(found)
            ):
                if not any(rule(drawn.steps[index], one, other) for _, rule in DELIBERATE):
                    yield Difference(drawn, kind, index, *_parting(expected, found), one, other)
                break


def _by_part(log: list[str]) -> list[str]:
    """The log, sorted by who speaks."""
    return sorted(log, key=lambda line: line.partition(" ")[0])


def _same_refusal(theirs: list[str], ours: list[str]) -> bool:
    return len(theirs) == len(ours) and all(b.startswith(a) for a, b in zip(theirs, ours, strict=True))


def _parting(expected: Any, found: Any) -> tuple[Any, Any]:
    """Two lists from where they part."""
    same = 0
    while expected[same : same + 1] == found[same : same + 1] != []:
        same += 1
    return expected[same : same + 4], found[same : same + 4]


def reduced(difference: Difference) -> Difference:
    """The same difference in a case with fewer exchanges, if they show it."""
    steps = difference.case.steps
    for first in range(difference.step, 0, -1):
        smaller = replace(difference.case, steps=steps[first : difference.step + 1])
        for again in differences(smaller):
            if again.kind == difference.kind:
                return again
    return difference


def first_differences(seed: int, numbers: list[int]) -> list[Difference]:
    """Run these cases, and give the first difference of each, reduced."""
    found = []
    for number in numbers:
        for each in differences(case(seed, number)):
            found.append(reduced(each))
            break
    return found


Rule = Callable[[Step, Outcome, Outcome], bool]


def _wrong_kind(step: Step, theirs: Outcome, ours: Outcome) -> bool:
    at = next(
        (i for i, line in enumerate(ours.log) if re.search("_UnexpectedData: 1003: Expected (text|binary)", line)), -1
    )
    return at >= 0 and theirs.log[:at] == ours.log[:at]


def _no_text(step: Step, theirs: Outcome, ours: Outcome) -> bool:
    return any("xff" in str(each.get("bytes")) for each in step.messages) and "class disconnects 1011" in ours.log


def _abandoned(step: Step, theirs: Outcome, ours: Outcome) -> bool:
    logs = [[line for line in each.log if not line.endswith("chunks end")] for each in (theirs, ours)]
    return _by_part(logs[0]) == _by_part(logs[1]) and (theirs.sent, theirs.raised) == (ours.sent, ours.raised)


def _quiet(log: list[str]) -> list[str]:
    """The log by who speaks, without what is sent between parts, which in Starlette takes a task of its own."""
    return _by_part([line for line in log if not re.search(r" (sends|chunk|chunks|wraps|wrapped|was) ?", line)])


def _between_tasks(step: Step, theirs: Outcome, ours: Outcome) -> bool:
    """Whether the response was broken off, by the host or by a middleware, where Starlette has two tasks.

    What is broken off may have failed by then, or not.
    """
    broken = step.breaks_at >= 0 or any(" was ended" in line for line in theirs.log + ours.log)
    broken = broken or not {"raise after", "http after"}.isdisjoint(step.does.values())
    same = (theirs.sent, theirs.raised) == (ours.sent, ours.raised)
    logs = [[line for line in _quiet(each.log) if not re.search(" (caught|handles) ", line)] for each in (theirs, ours)]
    return broken and any(" got " in line for line in theirs.log) and same and logs[0] == logs[1]


def _left(step: Step, theirs: Outcome, ours: Outcome) -> bool:
    """Whether all that differs is what a broken connection is called, and that it is no error of the application."""

    broken, left = "OSError: broken pipe", "ClientDisconnect: "
    late = "RuntimeError: Caught handled exception, but response already started."

    def told(outcome: Outcome) -> list[str]:
        lines = [
            re.sub(rf"({late} \| from |{left}(?: \| from )?){broken}|{left}", broken, each) for each in outcome.log
        ]
        return _quiet([each for each in lines if not re.search(f"handles {broken}|^task |chunks end", each)])

    gone = [[], [broken], [left], [left, f"from {broken}"], [late], [late, f"from {broken}"]]
    named = theirs.raised == ours.raised or (theirs.raised in gone and ours.raised in gone)
    if theirs.raised in gone and ours.raised and f"handles {ours.raised[0]}" in str(ours.log):
        named = True  # the answer of the handler for 500 was broken off
    return step.breaks_at >= 0 and named and theirs.sent == ours.sent and told(theirs) == told(ours)


def _both(step: Step, theirs: Outcome, ours: Outcome) -> bool:
    """Whether both of Starlette's tasks have failed, which makes a group; here the one ends the other."""
    told = str(theirs.log + theirs.raised)
    return "(2 sub-exceptions)" in told and (theirs.sent == ours.sent) and "2 sub-exceptions" not in str(ours.log)


def _wrong_length(step: Step, theirs: Outcome, ours: Outcome) -> bool:
    """Whether a middleware made the body longer and left the length as it was; the logs may show either."""

    def without_length(sent: list[Any]) -> str:
        return re.sub(r"\(b?'content-length', b?'\d+'\)", "", str(sent))

    longer = not {"wrap", "collect"}.isdisjoint(step.does.values())
    return longer and without_length(theirs.sent) == without_length(ours.sent) and theirs.raised == ours.raised


def _late(step: Step, theirs: Outcome, ours: Outcome) -> bool:
    """Whether a stream went on there after a middleware had put another response into its place."""
    late = "stream fails" in str(theirs.raised + ours.raised) or "task" in str(theirs.log + ours.log)
    return (
        late and theirs.sent == ours.sent and {"wrap", "replace", "stream", "later"} & set(step.does.values()) != set()
    )


def _broken_denial(step: Step, theirs: Outcome, ours: Outcome) -> bool:
    return step.breaks_at >= 0 and "denial_stream raised ClientDisconnect" in str(ours.log) and theirs.sent == ours.sent


def _bodiless(step: Step, theirs: Outcome, ours: Outcome) -> bool:
    """Whether a stream was not asked for its chunks, under a status that has no body."""
    status = ours.sent and isinstance(ours.sent[0], dict) and ours.sent[0].get("status")
    return status in (204, 304) and _quiet(theirs.log) == _quiet(ours.log)


def _gone(step: Step, theirs: Outcome, ours: Outcome) -> bool:
    if {"type": "http.disconnect"} not in step.messages:
        return False
    told = str(theirs.log + theirs.raised)
    unanswered = ours.raised == [] and ("ClientDisconnect" in told or step.breaks_at >= 0)
    return unanswered or any("stream" in does for does in step.does.values())


def _too_large(step: Step, theirs: Outcome, ours: Outcome) -> bool:
    refused = any(isinstance(each, dict) and each.get("status") == 413 for each in ours.sent)
    told = str(theirs.log + theirs.raised)
    watched = "_RequestBodyTooLarge" in told or "response already started" in str(theirs.raised)
    signal = "_RequestBodyLimitResponseSent"  # raised before the 413 is sent, and after it there
    if signal in str(ours.log) and (signal in str(theirs.log) or step.breaks_at >= 0):
        return True
    if "unhandled errors in" in told and "_RequestBodyTooLarge" in told:
        return True
    return refused and (watched or (theirs.sent, theirs.raised) == (ours.sent, ours.raised))


def _watched(step: Step, theirs: Outcome, ours: Outcome) -> bool:
    """Whether a stream's watch for the client's leaving got at what is received, which is there another task."""
    seen, does = str(theirs.log + ours.log), set(step.does.values())
    if "raise in receive" in does and (" chunk" in seen or "unhandled errors in" in seen):
        return True
    if "body after" in does and any("stream" in each for each in does):
        return "it hangs" in theirs.raised + ours.raised or "sync" in str(does)
    return theirs.raised == ["it hangs"] and any(re.search(" body b| stream | form ", each) for each in ours.log)


def _broken_by_middleware(step: Step, theirs: Outcome, ours: Outcome) -> bool:
    return (
        "break" in step.does.values()
        and "is broken" in str(theirs.log)
        and re.search("(caught|raised) ClientDisconnect", str(ours.log)) is not None
    )


# Differences that `docs/compatibility.md` lists: why, and how they are recognised.
DELIBERATE: tuple[tuple[str, Rule], ...] = (
    ("WebSocket data of the wrong kind: a `KeyError`, or None, there", _wrong_kind),
    ("JSON of a WebSocket that is no text", _no_text),
    ("a client that leaves is no error", _left),
    ("an asynchronous generator that is abandoned is closed at once", _abandoned),
    ("a client that leaves before its body has come is not answered", _gone),
    ("a body that is too large, found by the watch for the client's leaving", _too_large),
    ("what is first received while a stream is sent", _watched),
    ("`OSError` of a middleware while a stream is sent is `ClientDisconnect`", _broken_by_middleware),
    ("the length that is sent is that of the body", _wrong_length),
    ("a middleware and a stream behind it that both fail", _both),
    ("a stream that nobody reads any more goes on there, or not", _late),
    ("a denial that is a stream, where the connection breaks", _broken_denial),
    ("a stream under a status that has no body is closed unread", _bodiless),
    ("behind `http` middleware: which goes on first, the stream or the middleware", _between_tasks),
)
