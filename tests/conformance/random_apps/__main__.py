"""Runs many cases, and prints what differs: see the package."""

import argparse
import sys
import time
from pathlib import Path

from .cases import Difference, case, differences, reduced


def main() -> int:
    """Run. Returns the exit status: 1 if anything differs."""
    parser = argparse.ArgumentParser(prog="random_apps", description=__doc__)
    parser.add_argument("--cases", type=int, default=600, help="how many; the default is 600")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", type=int, help="run one case, and print it as a script if it differs")
    parser.add_argument("--show", action="store_true", help="print the cases instead of running them")
    parser.add_argument("--keep", type=Path, help="a folder for the scripts of failing cases")
    parser.add_argument("--most", type=int, default=20, help="stop after that many differences; the default is 20")
    options = parser.parse_args()
    numbers = range(options.start, options.start + options.cases) if options.only is None else [options.only]
    found: list[Difference] = []
    began = time.monotonic()
    for number in numbers:
        drawn = case(options.seed, number)
        if options.show:
            print(f"# case {number}\n{drawn.source}")
            print("\n".join(f"# {step}" for step in drawn.steps))
            continue
        for each in differences(drawn):
            difference = reduced(each)
            found.append(difference)
            print(difference, flush=True)
            if options.keep is not None:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"case_{number}.py").write_text(difference.script(), encoding="utf-8")
            if options.only is not None:
                print(difference.script())
            break
        if len(found) >= options.most:
            print(f"stopped at case {number}")
            break
    seconds = time.monotonic() - began
    print(f"{len(numbers)} cases, seed {options.seed}, {len(found)} with differences, {seconds:.0f} s", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
