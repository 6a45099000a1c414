"""Runs many cases, and prints what differs: see the package."""

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from .cases import Difference, case, first_differences

CHUNK = 250  # cases for one process: applications leave classes behind, and a full heap makes the next ones slow


def show(seed: int, numbers: list[int]) -> None:
    """Print cases."""
    for number in numbers:
        drawn = case(seed, number)
        print(f"# case {number}\n{drawn.source}")
        print("\n".join(f"# {step}" for step in drawn.steps))


def report(difference: Difference, folder: Path | None) -> None:
    """Print a difference; keep its script, if there is a folder for it."""
    print(difference, flush=True)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"case_{difference.case.number}.py").write_text(difference.script(), encoding="utf-8")


def main() -> int:
    """Run. Returns the exit status: 1 if anything differs."""
    parser = argparse.ArgumentParser(prog="random_apps", description=__doc__)
    parser.add_argument("--cases", type=int, default=600, help="how many; the default is 600")
    parser.add_argument("--seed", type=int, default=0, help="the default is 0, as in the tests")
    parser.add_argument("--start", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", type=int, help="run one case, and print it as a script if it differs")
    parser.add_argument("--jobs", type=int, default=1, help="processes; the default is 1")
    parser.add_argument("--show", action="store_true", help="print the cases instead of running them")
    parser.add_argument("--keep", type=Path, help="a folder for the scripts of failing cases")
    options = parser.parse_args()
    if options.only is not None:
        options.start, options.cases = options.only, 1
    numbers = list(range(options.start, options.start + options.cases))
    if options.show:
        show(options.seed, numbers)
        return 0
    began = time.monotonic()
    found: list[Difference] = []
    with ProcessPoolExecutor(
        options.jobs, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1
    ) as processes:
        chunks = [
            processes.submit(first_differences, options.seed, numbers[at : at + CHUNK])
            for at in range(0, len(numbers), CHUNK)
        ]
        for done in as_completed(chunks):
            for difference in done.result():
                found.append(difference)
                report(difference, options.keep)
                if options.only is not None:
                    print(difference.script())
    seconds = time.monotonic() - began
    print(f"{len(numbers)} cases, seed {options.seed}, {len(found)} with differences, {seconds:.0f} s", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
