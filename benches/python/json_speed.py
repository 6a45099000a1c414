"""How fast `forzium.json` is beside orjson, msgspec, pydantic-core and the standard library.

    python benches/python/json_speed.py [--seconds 0.5] [FOLDER]

FOLDER may hold further documents (`*.json`, `*.json.xz`). Without one, the documents are made here: they are alike on
every machine. All libraries take turns on the same objects in one process; a figure is the median of many short runs,
in processor time of the thread, so that other work on the machine counts little. A library that is not installed is
left out. The last two columns say how many times faster forzium is than orjson and than the standard library.

CPython keeps the UTF-8 form of a text that is not ASCII once somebody asked for it, and all libraries but the standard one
ask for it: so `dumps` of one and the same object finds it there from the second time on. For documents with such texts
`dumps new` is measured as well: each call is given an object that was read just before.
"""

from __future__ import annotations

import argparse
import json
import lzma
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from forzium import json as fast

Function = Callable[[Any], Any]


def readers_and_writers() -> dict[str, tuple[Function, Function]]:
    """Name → (loads, dumps to bytes), forzium first."""
    found: dict[str, tuple[Function, Function]] = {"forzium": (fast.loads, fast.dumps)}
    try:
        import orjson

        found["orjson"] = (orjson.loads, orjson.dumps)
    except ImportError:
        pass
    try:
        import msgspec

        found["msgspec"] = (msgspec.json.Decoder().decode, msgspec.json.Encoder().encode)
    except ImportError:
        pass
    import pydantic_core

    found["pydantic-core"] = (pydantic_core.from_json, pydantic_core.to_json)

    def standard(obj: Any) -> bytes:
        return json.dumps(obj, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()

    found["json"] = (json.loads, standard)
    return found


def made_documents() -> Iterator[tuple[str, bytes]]:
    """Documents of the kinds an API sees."""
    chance = random.Random(20)
    words = [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "tšuktši",
        "日本語の文字",
        "naïve",
        "emoji 😀",
        'with "quotes"',
        "line\nbreak",
    ]

    def text(count: int) -> str:
        return " ".join(chance.choice(words) for _ in range(count))

    five = {"id": 1, "name": "Widget", "price": 9.99, "tags": ["a", "b"], "in_stock": True}
    row = [{"id": number, "name": f"name {number}", "value": number * 1.5, "ok": True} for number in range(12_000)]
    wide = [
        {f"field_{at}": chance.choice([None, True, at, at * 1.1, text(2), [at]]) for at in range(30)}
        for _ in range(500)
    ]
    places = [[chance.uniform(-180, 180), chance.uniform(-90, 90)] for _ in range(20_000)]
    posts = [{"user": text(1), "text": text(12), "replies": [{"text": text(5)} for _ in range(3)]} for _ in range(800)]
    for name, obj in (
        ("five keys", five),
        ("20 rows", row[:20]),
        ("1 MB of rows", [{**item, "note": None, "tags": ["x", "y"]} for item in row]),
        ("wide objects", wide),
        ("coordinates", places),
        ("international text", posts),
        ("integers", [chance.randint(-(10**6), 10**9) for _ in range(50_000)]),
    ):
        yield name, json.dumps(obj, ensure_ascii=False, separators=(",", ":")).encode()
    yield "pretty printed", json.dumps(wide, indent=4).encode()


def documents_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.iterdir()):
        if path.name.endswith(".json"):
            yield path.stem, path.read_bytes()
        elif path.name.endswith(".json.xz"):
            yield path.name.removesuffix(".json.xz"), lzma.decompress(path.read_bytes())


def medians(functions: list[Function], argument: Any, seconds: float, *, anew: bool = False) -> list[float]:
    """Microseconds of one call of each function; they take turns. With `anew` the argument is a text, and each call is given
    a new object that was read from it."""
    made: Function = json.loads if anew else lambda argument: argument
    calls = []
    for function in functions:
        shortest = 1.0
        for _ in range(20):
            given = made(argument)
            start = time.perf_counter()
            function(given)
            shortest = min(shortest, time.perf_counter() - start)
        # A run takes some two milliseconds, so that looking at the clock does not count.
        calls.append(max(1, int(0.002 / shortest)))
    runs: list[list[float]] = [[] for _ in functions]
    end = time.perf_counter() + seconds * len(functions)
    while time.perf_counter() < end or len(runs[0]) < 3:
        for function, count, times in zip(functions, calls, runs, strict=True):
            objects = [made(argument) for _ in range(count)]
            start = time.thread_time()
            for given in objects:
                function(given)
            times.append((time.thread_time() - start) / count)
    return [statistics.median(times) * 1e6 for times in runs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each library and document; default 0.5")
    arguments = parser.parse_args()
    libraries = readers_and_writers()
    versions = [f"{name} {metadata.version(name)}" for name in libraries if name not in ("json", "forzium")]
    print(f"Python {platform.python_version()}, {platform.machine()}, {', '.join(versions)}; µs a call, median")
    head = [f"{name:>14}" for name in libraries] + [f"{'/ orjson':>10}", f"{'/ json':>10}"]
    print(f"{'':20} {'bytes':>9} {'':9}{''.join(head)}")
    documents = list(made_documents()) + (list(documents_in(arguments.folder)) if arguments.folder else [])
    for name, text in documents:
        value = json.loads(text)
        for way, side, argument in (("loads", 0, text), ("dumps", 1, value), ("dumps new", 1, text)):
            anew = way == "dumps new"
            if anew and text.isascii():
                continue
            functions = [both[side] for both in libraries.values()]
            results = [function(value if anew else argument) for function in functions]
            if side:
                results = [json.loads(written) for written in results]
            if any(result != value for result in results):
                sys.exit(f"{name}: the libraries do not agree")
            times = dict(zip(libraries, medians(functions, argument, arguments.seconds, anew=anew), strict=True))
            line = "".join(f"{time_:14.2f}" for time_ in times.values())
            beside = f"{times['orjson'] / times['forzium']:10.2f}" if "orjson" in times else f"{'-':>10}"
            line += beside + f"{times['json'] / times['forzium']:10.2f}"
            print(f"{name:20} {len(text):9} {way:9}{line}", flush=True)


if __name__ == "__main__":
    main()
