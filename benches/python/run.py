"""What a request costs inside the ASGI callable, forzium beside its peers.

    python benches/python/run.py [--only SCENARIO ...] [--rounds N] [--json FILE] [--write FILE ...]

All frameworks are measured in one process, one after the other in every round, so that a machine that slows down slows
all of them. A figure is the median over the rounds of the microseconds a request. Before anything is measured each
framework must give the scenario's answer; one that does not offer the scenario is shown as "-".
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import os
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import report  # noqa: E402
from apps import FRAMEWORKS, builders  # noqa: E402
from apps.scenarios import SCENARIOS, Scenario  # noqa: E402
from inprocess import answer, started, timed  # noqa: E402

PACKAGES = ("fastapi", "starlette", "litestar", "blacksheep", "falcon", "pydantic")
# The columns of the README's table.
SHORT = ("bare", "forzium", "fastapi")
# A batch lasts about this long: much longer than the clock's grain, short enough for many rounds. Microseconds.
BATCH = 25_000


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="SCENARIO", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--frameworks", nargs="+", choices=FRAMEWORKS, default=list(FRAMEWORKS))
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each pair (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="compare the answers, measure nothing")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--write", type=Path, nargs="+", default=[], help="put the table into these documents")
    return parser.parse_args()


def available(frameworks: list[str]) -> dict[str, dict[str, Any]]:
    """The frameworks that are installed, with their application builders.

    Raises:
        SystemExit: forzium is wanted and missing.
    """
    found = {}
    for framework in frameworks:
        try:
            found[framework] = builders(framework)
        except ImportError as error:
            if framework == "forzium":
                raise SystemExit("forzium is not installed: pip install .") from error
            print(f"{framework}: not measured ({error})", file=sys.stderr)
    return found


async def agreed(name: str, scenario: Scenario, apps: dict[str, Any]) -> dict[str, Any]:
    """The applications that give the scenario's answer; forzium and fastapi must, and to the byte alike.

    Raises:
        SystemExit: A framework gives another answer.
    """
    answers = {}
    for framework, app in apps.items():
        answers[framework] = status, body = await answer(app, scenario)
        if not scenario.answered_by(status, body):
            raise SystemExit(f"{name}: {framework} answers {status} {body[:200]!r} instead of {scenario.answer!r:.200}")
    if answers.get("forzium", 0) != answers.get("fastapi", 0) and {"forzium", "fastapi"} <= set(apps):
        raise SystemExit(f"{name}: forzium answers {answers['forzium']}, fastapi {answers['fastapi']}")
    return apps


async def measure(scenario: Scenario, apps: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    """Microseconds a request, for each framework in each round."""
    counts = {}
    for framework, app in apps.items():
        await timed(app, scenario, 2 * scenario.in_flight)
        guess = await timed(app, scenario, 4 * scenario.in_flight)
        count = max(3, min(2_000, int(BATCH / guess)))
        counts[framework] = -(-count // scenario.in_flight) * scenario.in_flight
    figures: dict[str, list[float]] = {framework: [] for framework in apps}
    order = list(apps)
    for _ in range(rounds):
        for framework in order:
            figures[framework].append(await timed(apps[framework], scenario, counts[framework]))
        order = order[1:] + order[:1]
    return figures


async def scenario_figures(name: str, options: argparse.Namespace, found: dict[str, Any]) -> dict[str, list[float]]:
    """Build one scenario's applications, start them, compare their answers and measure them."""
    scenario = SCENARIOS[name]
    async with contextlib.AsyncExitStack() as stack:
        apps = {}
        for framework, build in found.items():
            if name in build:
                apps[framework] = await stack.enter_async_context(started(build[name]()))
        await agreed(name, scenario, apps)
        if options.check:
            return {}
        gc.collect()
        gc.freeze()  # what the applications are made of is not what a request costs
        try:
            return await measure(scenario, apps, options.rounds)
        finally:
            gc.unfreeze()


def medians(figures: dict[str, list[float]]) -> dict[str, float]:
    """The median of each framework's rounds."""
    return {framework: statistics.median(rounds) for framework, rounds in figures.items()}


def summary(results: dict[str, dict[str, list[float]]], frameworks: list[str]) -> str:
    """The table: microseconds a request, and how many times faster than fastapi forzium is."""
    rows = []
    for name, figures in results.items():
        found = medians(figures)
        ratio = found["fastapi"] / found["forzium"] if {"fastapi", "forzium"} <= found.keys() else None
        goal = f"{SCENARIOS[name].goal:g}"
        cells = [report.number(found.get(framework)) for framework in frameworks]
        rows.append([SCENARIOS[name].title, *cells, report.number(ratio), goal])
    return report.table(["µs a request", *frameworks, f"{report.TIMES} fastapi", "goal"], rows)


def main() -> None:
    """Measure, print the table, write what was asked for."""
    options = arguments()
    logging.disable(logging.CRITICAL)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, as the goals say
    found = available(options.frameworks)
    results = {}
    for name in options.only:
        results[name] = asyncio.run(scenario_figures(name, options, found))
        done = (
            "agreed"
            if options.check
            else ", ".join(f"{k} {report.number(v)}" for k, v in medians(results[name]).items())
        )
        print(f"{name}: {done}", file=sys.stderr)
    if options.check:
        return
    facts = report.circumstances(*PACKAGES)
    text = f"{summary(results, list(found))}\n\n{report.caption(facts)}"
    short = f"{summary(results, [name for name in SHORT if name in found])}\n\n{report.caption(facts)}"
    print(text)
    if options.json:
        options.json.write_text(json.dumps({**facts, "microseconds": results}, indent=1), encoding="utf-8")
    for file in options.write:
        report.write(file, {"benches/python": text, "benches/python, short": short})


if __name__ == "__main__":
    main()
