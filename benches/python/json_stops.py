"""How long a Python thread is stopped while another reads or writes much JSON.

    python benches/python/json_stops.py [--rounds 5] [--collector] [NAME ...]

A thread counts; its longest stop is that of the round which came off best, and the worst of all in brackets: on a machine
with other work the system stops threads, too. What freeing the result costs is another's doing (CPython frees a container
in one step) and stands in a column of its own. The garbage collector is off, unless it is asked for: what it takes to
look at millions of new containers, with everyone stopped, is not the codec's to say.
"""

from __future__ import annotations

import argparse
import gc
import platform
import threading
import time
from collections.abc import Callable
from typing import Any

from forzium import json as fast


def _nested() -> list[Any]:
    rows = []
    for _ in range(6_000):
        row: list[Any] = []
        for depth in range(200):
            row = [row, {"depth": depth}]
        rows.append(row)
    return rows


DOCUMENTS: dict[str, Callable[[], Any]] = {
    "rows": lambda: [
        {"id": at, "name": f"name {at}", "value": at * 1.5, "ok": True, "tags": ["x", "y"]} for at in range(220_000)
    ],
    "one list of integers": lambda: list(range(1_000_000, 3_000_000)),
    "one list of floats": lambda: [at / 7 for at in range(900_000)],
    "one list of strings": lambda: [f"string number {at}" for at in range(750_000)],
    "one dict of 100,000 keys": lambda: {f"key {at}": [at, "x" * 130] for at in range(100_000)},
    "one dict of 1,000,000 keys": lambda: {f"key {at}": at for at in range(1_000_000)},
    "one string": lambda: "x" * 16_000_000,
    "one string with escapes": lambda: "é\n" * 4_000_000,
    "nested 200 deep": _nested,
}


class Counter:
    """A thread that notes when it was stopped for more than a millisecond."""

    def __init__(self) -> None:
        self._done = False
        self._stops: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._count)

    def __enter__(self) -> Counter:
        self._thread.start()
        time.sleep(0.05)
        self._stops.clear()
        return self

    def __exit__(self, *error: object) -> None:
        self._done = True
        self._thread.join()

    def _count(self) -> None:
        last = time.perf_counter()
        while not self._done:
            now = time.perf_counter()
            if now - last > 0.001:
                self._stops.append((now, now - last))
            last = now

    def longest(self, start: float, end: float) -> float:
        """Milliseconds of the longest stop that ended in between."""
        return max((length for at, length in self._stops if start <= at < end), default=0.0) * 1e3


def measured(work: Callable[[Any], Any], argument: Any) -> tuple[float, float, float]:
    """Milliseconds: the longest stop during the work, that of freeing the result, and the work itself."""
    gc.collect()
    with Counter() as counter:
        start = time.perf_counter()
        result = work(argument)
        end = time.perf_counter()
        time.sleep(0.03)
        free = time.perf_counter()
        del result
        time.sleep(0.03)
        return counter.longest(start, free), counter.longest(free, time.perf_counter()), (end - start) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of documents; default all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--collector", action="store_true", help="leave the garbage collector on")
    arguments = parser.parse_args()
    if not arguments.collector:
        gc.disable()
    print(f"Python {platform.python_version()}, {platform.machine()}; milliseconds")
    print(f"{'':28} {'MB':>3}  {'':6}{'stop':>7} {'(worst)':>9} {'freeing':>8} {'all':>7}")
    for name, make in DOCUMENTS.items():
        if arguments.names and not any(wanted in name for wanted in arguments.names):
            continue
        value = make()
        text = fast.dumps(value)
        for side, work, argument in (("loads", fast.loads, text), ("dumps", fast.dumps, value)):
            rounds = [measured(work, argument) for _ in range(arguments.rounds)]
            stops, frees, times = zip(*rounds, strict=True)
            line = f"{min(stops):7.1f} {f'({max(stops):.1f})':>9} {min(frees):8.1f} {min(times):7.0f}"
            print(f"{name:28} {len(text) / 1e6:3.0f}  {side:6}{line}", flush=True)


if __name__ == "__main__":
    main()
