"""Real servers for one test each: started on a socket that the test owns, stopped when the test ends.

No port is fixed and nothing sleeps for luck: a server inherits a listening socket where it can, and readiness is an
answer to a connection, waited for with a deadline.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import forzium

ROOT = Path(__file__).resolve().parents[2]
# Starting a server imports two frameworks on a busy machine; stopping one drains connections. Seconds.
START_DEADLINE = 60.0
STOP_DEADLINE = 20.0


@contextlib.contextmanager
def listening_socket() -> Iterator[socket.socket]:
    """A socket that listens on loopback, on a port of the kernel's choice."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener


def free_port() -> int:
    """A port nobody listens on now, for servers that take only a number. The caller retries if it was taken meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def environment(*paths: Path, **extra: str) -> dict[str, str]:
    """The environment of a server that imports from `paths` and the forzium under test."""
    path = os.pathsep.join(str(p) for p in (*paths, Path(forzium.__file__).parents[1]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", **extra}


class Server:
    """A running server process and what it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    def output(self) -> str:
        """Standard output and error so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def returncode(self) -> int | None:
        """The exit status, or None while it runs."""
        return self._process.poll()

    def wait(self) -> int:
        """The exit status of a server that is expected to end by itself."""
        return self._process.wait(START_DEADLINE)

    def wait_for_line(self, start: str) -> str:
        """The rest of the first line that begins with `start`."""
        deadline = time.monotonic() + START_DEADLINE
        while time.monotonic() < deadline:
            for line in self.output().splitlines(keepends=True):
                if line.startswith(start) and line.endswith("\n"):
                    return line.removeprefix(start).strip()
            if self.returncode() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no line {start!r}; the server said:\n{self.output()}")

    def wait_until_answering(self, port: int) -> None:
        """Return once an HTTP request on loopback is answered, whatever the answer."""
        deadline = time.monotonic() + START_DEADLINE
        while time.monotonic() < deadline and self.returncode() is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_DEADLINE)
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
                return
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
            finally:
                connection.close()
        raise AssertionError(f"no answer on port {port}; the server said:\n{self.output()}")


@contextlib.contextmanager
def run(command: Sequence[str], *, env: dict[str, str], cwd: Path, inherit: Sequence[int] = ()) -> Iterator[Server]:
    """Run a Python server (`command` follows ``python``) in a process group of its own, ended with the block."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-P", *command],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                pass_fds=tuple(inherit),
                start_new_session=True,
            )
        try:
            yield Server(process, log)
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            pass
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
