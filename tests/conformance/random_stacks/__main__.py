"""Runs many cases, and prints what differs: see the package."""

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from .cases import case, first_differences

CHUNK = 250  # cases for one process: applications leave classes behind, and a full heap makes the next ones slow


def main() -> int:
    """Run. Returns the exit status: 1 if anything differs."""
    parser = argparse.ArgumentParser(prog="random_stacks", description=__doc__)
    parser.add_argument("--cases", type=int, default=300, help="how many; the default is 300")
    parser.add_argument("--seed", type=int, default=0, help="the default is 0, as in the tests")
    parser.add_argument("--start", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", type=int, help="run one case")
    parser.add_argument("--jobs", type=int, default=1, help="processes; the default is 1")
    parser.add_argument("--show", action="store_true", help="print the cases instead of running them")
    options = parser.parse_args()
    if options.only is not None:
        options.start, options.cases = options.only, 1
    numbers = list(range(options.start, options.start + options.cases))
    if options.show:
        for drawn in (case(options.seed, number) for number in numbers):
            print(f"# case {drawn.number}\n{drawn.source}", *drawn.steps, sep="\n# ")
        return 0
    began, found = time.monotonic(), 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context, max_tasks_per_child=1) as processes:
        slices = [numbers[at : at + CHUNK] for at in range(0, len(numbers), CHUNK)]
        for done in as_completed([processes.submit(first_differences, options.seed, part) for part in slices]):
            for difference in done.result():
                found += 1
                print(difference, flush=True)
    seconds = time.monotonic() - began
    print(f"{len(numbers)} cases, seed {options.seed}, {found} with differences, {seconds:.0f} s", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
