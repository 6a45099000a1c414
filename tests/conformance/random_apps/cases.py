"""A case by its number, what differs in it, and a failing case as a script.

Stands on `applications`, `traffic` and `driver`. Here stands also what may differ: `DELIBERATE`.
"""

import json
import pprint
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from . import applications, driver, traffic
from .driver import Outcome, Run, Step

REQUESTS = 6  # made to each application
FRAMEWORKS = ("fastapi", "forzium")


@dataclass
class Case:
    """An application and the requests made to it."""

    number: int
    source: str
    steps: list[Step]
    backend: str
    openapi: bool


def case(seed: int, number: int) -> Case:
    """Draw the case of that number."""
    rng = Random(f"{seed}-{number}")
    application = applications.draw(rng)
    header = "from __future__ import annotations\n\n" if rng.random() < 0.15 else ""
    steps = traffic.draw(rng, application, REQUESTS)
    backend = "trio" if rng.random() < 0.15 else "asyncio"
    source = f"{header}{driver.PRELUDE}\n\n{application.source}\n"
    return Case(number, source, steps, backend, rng.random() < 0.25)


@dataclass
class Difference:
    """What differs.

    Attributes:
        case: The case, reduced to the request in question.
        kind: Which part of the outcome.
        step: The index of the request, -1 for the application itself.
        expected: FastAPI's.
        found: Forzium's.
    """

    case: Case
    kind: str
    step: int
    expected: object
    found: object

    def script(self) -> str:
        """The case as a script that needs nothing but the two frameworks."""
        steps = pprint.pformat(self.case.steps, width=110)
        body = Path(driver.__file__).read_text(encoding="utf-8")
        source = self.case.source.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
        parts = [
            f"# case {self.case.number}: {self.kind} differs in request {self.step}",
            body,
            f'SOURCE = """\\\n{source}"""',
            f"STEPS = {steps}",
            f"for root in {FRAMEWORKS!r}:\n    found = run(root, SOURCE, STEPS, {self.case.backend!r}, {self.case.openapi!r})\n"
            "    print(root, *found.declared, *found.outcomes, sep='\\n  ')",
        ]
        return "\n\n".join(parts)

    def __str__(self) -> str:
        step = f"{self.case.steps[self.step]}\n" if self.step >= 0 else ""
        own = self.case.source.partition(driver.PRELUDE)[2]
        expected, found = _parting(self.expected, self.found)
        return (
            f"case {self.case.number} ({self.case.backend}): {self.kind}\n{own.strip()}\n\n{step}"
            f"fastapi: {expected!r}\nforzium: {found!r}\n"
        )


def _parting(expected: Any, found: Any) -> tuple[Any, Any]:
    """Two lists from where they part; anything else as it is."""
    if not (isinstance(expected, list) and isinstance(found, list)):
        return expected, found
    same = 0
    while expected[same : same + 1] == found[same : same + 1] != []:
        same += 1
    return expected[same : same + 3], found[same : same + 3]


def differences(drawn: Case) -> Iterator[Difference]:
    """Run a case on both frameworks and give what differs, at most once for each request."""
    expected, found = (driver.run(root, drawn.source, drawn.steps, drawn.backend, drawn.openapi) for root in FRAMEWORKS)
    if any("A form and a JSON body cannot be combined" in line for line in found.declared):
        return  # refused on purpose: no request could fill such an operation's parameters
    if not _same_declaration(expected, found):
        yield Difference(drawn, "declaration", -1, expected.declared, found.declared)
        return
    if json.dumps(expected.openapi) != json.dumps(found.openapi) and not _is_declaration(str(found.openapi)):
        yield Difference(drawn, "openapi", -1, expected.openapi, found.openapi)
    for index, (theirs, ours) in enumerate(zip(expected.outcomes, found.outcomes, strict=True)):
        for kind in ("log", "status", "headers", "body", "raised"):
            one, other = getattr(theirs, kind), getattr(ours, kind)
            if one != other:
                step = drawn.steps[index]
                if not (
                    _deliberate(theirs, ours)
                    or _is_no_path(step, ours)
                    or _refused_as_broken_off(step, ours)
                    or _left(step, theirs, ours)
                ):
                    yield Difference(drawn, kind, index, one, other)
                break


def reduced(difference: Difference) -> Difference:
    """The same difference in a case with as few requests as show it."""
    if difference.step < 0:
        return replace(difference, case=replace(difference.case, steps=[]))
    for first in (difference.step, 0):
        smaller = replace(difference.case, steps=difference.case.steps[first : difference.step + 1], openapi=False)
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


def _same_declaration(expected: Run, found: Run) -> bool:
    """Whether both accept the application with the same warnings, or refuse it for the same reason.

    Deliberate: forzium's errors begin with FastAPI's words and go on to name the function, file and line.
    """
    if bool(expected.outcomes) != bool(found.outcomes) or len(expected.declared) != len(found.declared):
        return False
    return all(ours.startswith(theirs) for theirs, ours in zip(expected.declared, found.declared, strict=True))


# Differences that `docs/compatibility.md` lists: why, and how they are recognised by all that FastAPI's outcome and ours
# say in words. An exception may have been caught by then, so notes count as well as what was raised.
DELIBERATE: tuple[tuple[str, Callable[[Outcome, Outcome, str, str], bool]], ...] = (
    (
        "a NaN, an infinity or a lone surrogate that is echoed: a 500 there",
        lambda theirs, ours, said, words: (
            "Out of range float values are not JSON compliant" in said or "surrogates not allowed" in said
        ),
    ),
    (
        "bytes that are no UTF-8 and are echoed in a 422: a 500 there",
        lambda theirs, ours, said, words: "UnicodeDecodeError: " in said and "UnicodeDecodeError: " not in words,
    ),
    (
        "a WebSocket closed for invalid parameters: a list as the reason there, where RFC 6455 wants text",
        lambda theirs, ours, said, words: (
            b"'websocket.close', 'code': 1008, 'reason': [" in theirs.body
            and b"'websocket.close', 'code': 1008, 'reason': " in ours.body
            and theirs.log == ours.log
        ),
    ),
    (
        "a 205 has no body, and no length of one",
        lambda theirs, ours, said, words: theirs.status == ours.status == 205 and theirs.body == ours.body == b"",
    ),
    (
        "a stream under a status that has no body: it is sent there, and closed unread here",
        lambda theirs, ours, said, words: (
            theirs.status == ours.status in (204, 304)
            and (theirs.headers, ours.body) == (ours.headers, b"")
            and (theirs.body != b"" or len(theirs.raised) > len(ours.raised))
            # What it raised there when it was asked also keeps the background tasks from being run.
            and _in_order([line for line in ours.log if not line.startswith("task ")], theirs.log)
        ),
    ),
    (
        "a declaration that is found to be wrong late: forzium's error says more, and comes before the request is read",
        lambda theirs, ours, said, words: (
            (_is_declaration(words) and not _is_declaration(said)) or "SchemaError: " in words
        ),
    ),
    (
        "a stream behind a middleware: there two tasks go on in turns, and which is first is not said",
        lambda theirs, ours, said, words: (
            "after" in theirs.log
            and sorted(theirs.log) == sorted(ours.log)
            and (theirs.status, theirs.headers, theirs.body, theirs.raised)
            == (ours.status, ours.headers, ours.body, ours.raised)
        ),
    ),
    (
        "an exception on its way through a middleware: Starlette takes the context for the cause, even `from None`",
        lambda theirs, ours, said, words: (
            "before" in theirs.log
            and theirs.log == ours.log
            and (theirs.status, theirs.body, theirs.raised[:1]) == (ours.status, ours.body, ours.raised[:1])
        ),
    ),
    (
        "events before an error are delivered, and the start of their response: there the error overtakes them",
        lambda theirs, ours, said, words: (
            any(value.startswith(b"text/event-stream") for _, value in ours.headers)
            and (theirs.log, theirs.raised) == (ours.log, ours.raised)
            and any("(1 sub-exception)" in line for line in theirs.raised[:1])
            and (theirs.status in (None, ours.status) and ours.body.startswith(theirs.body))
        ),
    ),
    (
        "events are made beside the clean-up of dependencies in threads: which is first is not said",
        lambda theirs, ours, said, words: (
            any(value.startswith(b"text/event-stream") for _, value in ours.headers)
            and sorted(theirs.log) == sorted(ours.log)
            and _in_order([line for line in ours.log if not line.endswith(" exit")], theirs.log)
            and (theirs.status, theirs.headers, theirs.body, theirs.raised)
            == (ours.status, ours.headers, ours.body, ours.raised)
        ),
    ),
    (
        "the error of a body limit behind a middleware: in a group of its own there",
        lambda theirs, ours, said, words: (
            "before" in theirs.log
            and "(1 sub-exception)" in said
            and "(1 sub-exception)" not in words
            and "_RequestBodyTooLarge: " in words
            and (theirs.status, theirs.headers, theirs.body) == (ours.status, ours.headers, ours.body)
        ),
    ),
    (
        "a body that is first asked for in a stream: there what watches for the client's leaving may take it away",
        lambda theirs, ours, said, words: (
            (
                theirs.raised == ["it hangs"]
                and (
                    any(" body got " in line for line in ours.log) if not ours.raised else "JSONDecodeError: " in words
                )
            )
            or (
                theirs.status == ours.status
                and _in_order(theirs.log, ours.log)
                and any(" body got " in line for line in ours.log if line not in theirs.log)
            )
        ),
    ),
    (
        "a number of more digits than Python takes: a 500 there where it stands in a path or is echoed",
        lambda theirs, ours, said, words: "Exceeds the limit (4300 digits)" in said,
    ),
    (
        "a file where a list in `Json` was declared: a TypeError there",
        lambda theirs, ours, said, words: "TypeError: object of type 'UploadFile' has no len()" in said,
    ),
    (
        "a dependency of the function's scope that swallows the exception: an UnboundLocalError there",
        lambda theirs, ours, said, words: (
            "UnboundLocalError: cannot access local variable" in said and "FastAPIError: Response not awaited" in words
        ),
    ),
)


def _is_no_path(step: Step, ours: Outcome) -> bool:
    """Whether the path has lone surrogates, and so is that of no route here. A handler answers 499."""
    if not any("\ud800" <= letter <= "\udfff" for letter in step.path):
        return False
    return ours.status in (404, 499) or b"'websocket.close', 'code': 1000" in ours.body


def _in_order(lines: list[str], among: list[str]) -> bool:
    """Whether the lines stand among the others, in their order."""
    rest = iter(among)
    return all(line in rest for line in lines)


def _refused_as_broken_off(step: Step, found: Outcome) -> bool:
    """Whether forzium refuses a multipart body without its end, where FastAPI takes what has come. Deliberate."""
    words = "\n".join([*found.raised, *found.log])
    if b"Invalid multipart data." not in found.body and "Invalid multipart data." not in words:
        return False
    kinds = [value for name, value in step.headers if name == b"content-type"]
    boundary = parse_options_header(kinds[0])[1].get(b"boundary") if kinds else None
    return bool(boundary) and breaks_off(boundary, step.chunks)


def breaks_off(boundary: bytes, chunks: Iterable[bytes]) -> bool:
    """Whether a multipart body is well-formed as far as it goes, and ends before its last boundary."""
    ends: list[bool] = []
    parser = MultipartParser(boundary, {"on_end": lambda: ends.append(True)})
    try:
        for chunk in chunks:
            parser.write(chunk)
    except FormParserError:
        return False
    return not ends


def _left(step: Step, expected: Outcome, found: Outcome) -> bool:
    """Whether it is the client's leaving that is met otherwise. Deliberate.

    It is not answered, where FastAPI makes it a 500 and an error; a stream of a plain iterator gives the first chunk, and
    one behind a middleware may be begun there before it is seen.
    """
    if not step.leaves:
        return False
    if "before" in found.log and (expected.status, expected.raised, found.body) == (found.status, found.raised, b""):
        return _in_order(found.log, expected.log)
    if expected.log != found.log:
        return False
    if found.status == expected.status and found.raised == expected.raised:
        return found.body.startswith(expected.body)
    return found.status is None and not found.raised and expected.raised[:1] == ["ClientDisconnect: "]


def _is_declaration(words: str) -> bool:
    """Whether there is an error of declaration, which in forzium names the file, or at least the parameter."""
    return "<application>" in words or ("  parameter " in words and " of `" in words)


def _deliberate(expected: Outcome, found: Outcome) -> bool:
    if found.status is None is not expected.status:
        return False  # No answer at all is none of these.
    said, words = ("\n".join([*each.raised, *each.log]) for each in (expected, found))
    return any(holds(expected, found, said, words) for _, holds in DELIBERATE)
