"""Requests a second over loopback under uvicorn, forzium beside its peers.

    python benches/http/run.py [--only SCENARIO ...] [--seconds S] [--rounds N] [--json FILE] [--write FILE ...]

Each framework's application runs in a uvicorn process of its own (one worker, uvloop, httptools); the load generator is
this process. On a machine of two cores or more the servers share one and the generator has another. Frameworks are
loaded one after the other in every round; a figure is the median over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import report  # noqa: E402
from apps import FRAMEWORKS, builders  # noqa: E402
from apps.scenarios import SCENARIOS, Scenario  # noqa: E402
from load import first_answer, request_bytes, requests_per_second  # noqa: E402

PACKAGES = ("fastapi", "starlette", "litestar", "blacksheep", "falcon", "uvicorn", "uvloop", "httptools")
DEFAULT = ("dict", "path-query", "model", "dependencies", "sync", "stream-100")
# The columns of the README's table.
SHORT = ("bare", "forzium", "fastapi")
HERE = Path(__file__).resolve().parent


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="SCENARIO", choices=SCENARIOS, default=list(DEFAULT))
    parser.add_argument("--frameworks", nargs="+", choices=FRAMEWORKS, default=list(FRAMEWORKS))
    parser.add_argument("--connections", type=int, default=64, help="kept connections (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one load (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="loads of each server (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--write", type=Path, nargs="+", default=[], help="put the table into these documents")
    return parser.parse_args()


def cores() -> tuple[str, str]:
    """The server's core and the generator's, or "any" where they cannot be told apart."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        return "any", "any"
    first, second, *_ = sorted(os.sched_getaffinity(0))
    return str(first), str(second)


@contextlib.contextmanager
def server(framework: str, name: str, core: str) -> Iterator[int]:
    """Run one framework's server; the value is its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        command = [sys.executable, str(HERE / "serve.py"), framework, name, str(listener.fileno()), core]
        process = subprocess.Popen(command, pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL)
        port = int(listener.getsockname()[1])
    try:
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def wait_for(port: int, scenario: Scenario, seconds: float = 60) -> None:
    """Return once the server answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            await first_answer(port, request_bytes(scenario))
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


async def measure(name: str, ports: dict[str, int], options: argparse.Namespace) -> dict[str, list[float]]:
    """Requests a second, for each framework in each round."""
    scenario = SCENARIOS[name]
    for port in ports.values():
        await wait_for(port, scenario)
        await requests_per_second(port, scenario, options.connections, 0.2)
    figures: dict[str, list[float]] = {framework: [] for framework in ports}
    order = list(ports)
    for _ in range(options.rounds):
        for framework in order:
            rate = await requests_per_second(ports[framework], scenario, options.connections, options.seconds)
            figures[framework].append(rate)
        order = order[1:] + order[:1]
    return figures


def summary(results: dict[str, dict[str, list[float]]], frameworks: list[str]) -> str:
    """The table: requests a second, and forzium's share of the bare function's and multiple of fastapi's."""
    rows = []
    for name, figures in results.items():
        found = {framework: statistics.median(rounds) for framework, rounds in figures.items()}
        ratios = [
            found["forzium"] / found[other] if {"forzium", other} <= found.keys() else None
            for other in ("bare", "fastapi")
        ]
        cells = [report.number(found.get(framework)) for framework in frameworks]
        title = SCENARIOS[name].title.removesuffix(", one at a time")
        rows.append([title, *cells, *map(report.number, ratios)])
    return report.table(["requests a second", *frameworks, f"{report.TIMES} bare", f"{report.TIMES} fastapi"], rows)


def main() -> None:
    """Measure, print the table, write what was asked for."""
    options = arguments()
    servers_core, own_core = cores()
    if own_core != "any":
        os.sched_setaffinity(0, {int(own_core)})
    found = {}
    for framework in options.frameworks:
        try:
            found[framework] = builders(framework)
        except ImportError as error:
            print(f"{framework}: not measured ({error})", file=sys.stderr)
    try:
        import uvloop as loop
    except ImportError:
        loop = asyncio  # type: ignore[misc]
    results = {}
    for name in options.only:
        with contextlib.ExitStack() as stack:
            ports = {
                framework: stack.enter_context(server(framework, name, servers_core))
                for framework, build in found.items()
                if name in build
            }
            results[name] = loop.run(measure(name, ports, options))
        shown = (f"{f} {report.number(statistics.median(v))}" for f, v in results[name].items())
        print(f"{name}: {', '.join(shown)}", file=sys.stderr)
    facts = report.circumstances(*PACKAGES)
    text = f"{summary(results, list(found))}\n\n{report.caption(facts)}"
    short = f"{summary(results, [name for name in SHORT if name in found])}\n\n{report.caption(facts)}"
    print(text)
    if options.json:
        options.json.write_text(json.dumps({**facts, "requests_per_second": results}, indent=1), encoding="utf-8")
    for file in options.write:
        report.write(file, {"benches/http": text, "benches/http, short": short})


if __name__ == "__main__":
    main()
