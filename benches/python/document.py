"""What the OpenAPI document of many routes costs, forzium beside fastapi.

    python benches/python/document.py [--routes N] [--rounds N] [--write FILE ...]

Each measurement is a process of its own: it declares the routes, each with two models of its own, a path parameter and
two query parameters, and then makes the document for the first time. Time is that of ``app.openapi()``; "memory" is by how
much the process grows at most meanwhile, "objects" the peak of what Python allocates meanwhile (tracemalloc, in a process
apart, for it slows all down). Both documents must be equal.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import report  # noqa: E402

FRAMEWORKS = ("forzium", "fastapi")
FIGURES = {"seconds": "time, s", "grown": "memory, MB", "objects": "objects, MB"}


def declared(fw: Any, routes: int) -> Any:
    """An application of that many routes."""
    from pydantic import BaseModel, Field, create_model

    class Shared(BaseModel):
        a: int
        b: str = "b"
        tags: list[str] = []

    app = fw.FastAPI()
    for number in range(routes):
        item = create_model(
            f"Item{number}",
            name=(str, ...),
            price=(Annotated[float, Field(gt=0)], ...),
            shared=(Shared | None, None),
            tags=(list[str], []),
        )
        out = create_model(f"Out{number}", id=(int, ...), item=(item, ...), note=(str | None, None))

        def operation(item_id, item, q=None, limit=10): ...

        operation.__annotations__ = {
            "item_id": int,
            "item": item,
            "q": Annotated[str | None, fw.Query(max_length=10)],
            "limit": int,
        }
        operation.__name__ = f"update_{number}"
        app.put(f"/items{number}/{{item_id}}", response_model=out, tags=["items"])(operation)
    return app


def measured(framework: str, routes: int, trace: bool) -> dict[str, Any]:
    """Figures of one framework in this process."""
    import gc
    import importlib
    import resource
    import tracemalloc

    app = declared(importlib.import_module(framework), routes)
    importlib.import_module(f"{framework}.openapi.utils")
    gc.collect()
    if trace:
        tracemalloc.start()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    before = time.perf_counter()
    document = app.openapi()
    seconds = time.perf_counter() - before
    digest = hashlib.sha256(json.dumps(document).encode()).hexdigest()
    if trace:
        return {"document": digest, "objects": tracemalloc.get_traced_memory()[1] / 1e6}
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"document": digest, "seconds": seconds, "grown": (most - resident) / 1e6}


def in_a_process(framework: str, routes: int, *options: str) -> dict[str, Any]:
    """Figures of one framework in a fresh process."""
    command = [sys.executable, __file__, "--routes", str(routes), "--measure", framework, *options]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> None:
    """Measure, print the table, write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--routes", type=int, default=1_000, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="processes of each framework (default: %(default)s)")
    parser.add_argument("--write", type=Path, nargs="+", default=[], help="put the table into these documents")
    parser.add_argument("--measure", choices=FRAMEWORKS, help=argparse.SUPPRESS)
    parser.add_argument("--trace", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measured(options.measure, options.routes, options.trace)))
        return

    runs: dict[str, list[dict[str, Any]]] = {framework: [] for framework in FRAMEWORKS}
    for _ in range(options.rounds):
        for framework, found in runs.items():
            found.append(in_a_process(framework, options.routes))
    for framework, found in runs.items():
        found.append(in_a_process(framework, options.routes, "--trace"))
    documents = {one["document"] for found in runs.values() for one in found}
    if len(documents) != 1:
        raise SystemExit("the documents differ")
    rows = []
    for figure, title in FIGURES.items():
        cells = [statistics.median(one[figure] for one in runs[name] if figure in one) for name in FRAMEWORKS]
        rows.append([title, *map(report.number, cells), report.number(cells[0] / cells[1])])
    headers = [f"document of {options.routes:,} routes", *FRAMEWORKS, f"{report.TIMES} fastapi"]
    facts = report.circumstances("fastapi", "pydantic")
    text = f"{report.table(headers, rows)}\n\n{report.caption(facts)}"
    print(text)
    for file in options.write:
        report.write(file, {"benches/python/document": text})


if __name__ == "__main__":
    main()
