"""The benchmarks run, and measure applications that answer alike."""

from __future__ import annotations

import subprocess
import sys

import pytest

from e2e import servers

BENCHES = servers.ROOT / "benches"


@pytest.mark.parametrize(
    "command",
    [
        ["python/run.py", "--check", "--frameworks", "bare", "forzium", "fastapi", "starlette"],
        ["python/run.py", "--only", "dict", "stream-100", "--rounds", "1", "--frameworks", "forzium", "fastapi"],
        ["python/websocket_echo.py", "--rounds", "1", "--messages", "20"],
        ["python/document.py", "--routes", "3", "--rounds", "1"],
        ["http/run.py", "--only", "dict", "--rounds", "1", "--seconds", "0.1", "--frameworks", "bare", "forzium"],
    ],
    ids=["answers", "in process", "websocket", "the document", "over a socket"],
)
def test_a_benchmark_runs(command: list[str]) -> None:
    script = BENCHES / command[0]
    env = servers.environment(script.parent, BENCHES)
    done = subprocess.run(
        [sys.executable, str(script), *command[1:]],
        env=env,
        cwd=servers.ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
