"""Tables of figures with what they need to mean anything: command, versions, machine, date.

Not for: measuring.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import shlex
import sys
from pathlib import Path
from typing import Any

TIMES = "\N{MULTIPLICATION SIGN}"
ROOT = Path(__file__).resolve().parents[1]


def table(headers: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    widths = [max(len(row[i]) for row in [headers, *rows]) for i in range(len(headers))]

    def line(cells: list[str]) -> str:
        padded = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([line(headers), line(rule), *map(line, rows)])


def number(value: float | None) -> str:
    """Three significant digits or the whole number; "-" for nothing."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def versions(*packages: str) -> dict[str, str]:
    """The installed versions of those packages; one that is absent is left out."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def command() -> str:
    """The command line as one would type it in the repository, without where its results went."""
    script = Path(sys.argv[0]).resolve().relative_to(ROOT)
    kept, keep = [], True
    for argument in sys.argv[1:]:
        if argument.startswith("--"):
            keep = argument.partition("=")[0] not in ("--write", "--json")
        if keep:
            kept.append(argument)
    return shlex.join(["python", str(script), *kept])


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def circumstances(*packages: str) -> dict[str, Any]:
    """What a figure needs beside it."""
    return {
        "command": command(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions("forzium", *packages),
    }


def caption(facts: dict[str, Any]) -> str:
    """The circumstances as one paragraph."""
    names = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return f"`{facts['command']}`, {facts['date']}: CPython {facts['python']}; {names}; {facts['machine']}."


def write(file: Path, texts: dict[str, str]) -> None:
    """Replace what stands between ``<!-- marker -->`` and ``<!-- /marker -->`` in a document, for each marker it has.

    Raises:
        ValueError: The document has none of them.
    """
    document = file.read_text(encoding="utf-8")
    found = 0
    for marker, text in texts.items():
        place = re.compile(rf"(<!-- {re.escape(marker)} -->\n).*?(<!-- /{re.escape(marker)} -->)", re.S)
        document, count = place.subn(lambda match, text=text: f"{match[1]}{text}\n{match[2]}", document)
        found += count
    if not found:
        raise ValueError(f"expected a place marked one of {', '.join(texts)} in {file}, but found none")
    file.write_text(document, encoding="utf-8")
