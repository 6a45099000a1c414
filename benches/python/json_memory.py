"""Whether `forzium.json` keeps anything: references and memory over a million calls.

    python benches/python/json_memory.py [CALLS]

Every kind of call takes its turn: texts that are read, texts that are refused, values that are written, values that are
refused, hooks that raise. After a warm-up the counts of references of what all calls share, the number of objects the
collector knows and the resident memory are looked at, and again at the end. Exits with 1 if something grew.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from forzium import json as fast

TEXT = b'{"id":1234567,"name":"a name","tags":["one","two","\\u00e9"],"rows":[{"a":1.5,"b":null},{"a":2.5,"b":true}]}'
TEXTS: list[bytes | str] = [
    TEXT, TEXT.decode(), "[\u00e9]", '["\u00e9\u6f22\U0001f600"]', b"[12345678901234567890123,1e400,-0,NaN]",
    TEXT[:-1], TEXT.replace(b"1.5", b"1.5.5"), b'{"a":[1,2,{"b":"c"', b'[{"a":1,"b":"\xff"}]', b"[[1,2],[3,4",
    b'{"a":1,"a":2}', b"[" * 300 + b"]" * 300, '["\\ud800"]', "\ud800",
]  # fmt: skip


class Point(NamedTuple):
    x: int
    y: float


def _refuse(obj: Any) -> Any:
    raise LookupError(obj)


VALUES: list[tuple[Any, Callable[[Any], Any] | None]] = [
    (json.loads(TEXT), None), ({"k": [math.nan]}, None), ({"k": ["\ud800"]}, None), ([object(), 1], None),
    ({"a": 1, (1,): 2}, None), ([Point(1, 2.0), {1: 2**70}], None), ([object()], _refuse), ([{1}], list),
    ({"long": "\u00e9\n" * 2000}, None), ([[1.5, 2.25]] * 50, None),
]  # fmt: skip


def work(rounds: int) -> None:
    for _ in range(rounds):
        for text in TEXTS:
            try:
                fast.loads(text)
            except (ValueError, RecursionError):
                pass
        for value, default in VALUES:
            try:
                fast.dumps(value, default=default) if default else fast.dumps(value)
            except (TypeError, ValueError, LookupError):
                pass


def resident() -> int:
    """Bytes of memory that the process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("calls", nargs="?", type=int, default=1_000_000)
    calls = parser.parse_args().calls
    rounds = max(1, calls // (len(TEXTS) + len(VALUES)))
    shared = [None, True, False, "name", "a", *(value for value, _ in VALUES), *VALUES[0][0].values()]
    work(2000)
    gc.collect()
    before = [sys.getrefcount(obj) for obj in shared], len(gc.get_objects()), resident()
    start = time.perf_counter()
    work(rounds)
    seconds = time.perf_counter() - start
    gc.collect()
    after = [sys.getrefcount(obj) for obj in shared], len(gc.get_objects()), resident()
    most = max(abs(now - then) for now, then in zip(after[0], before[0], strict=True))
    print(f"{rounds * (len(TEXTS) + len(VALUES)):,} calls in {seconds:.0f} s: references {most:+d} at most,")
    print(f"objects {after[1] - before[1]:+d}, resident memory {(after[2] - before[2]) / 1024:+,.0f} KiB")
    if most > 20 or after[1] - before[1] > 20 or after[2] - before[2] > 1 << 20:
        sys.exit(1)


if __name__ == "__main__":
    main()
