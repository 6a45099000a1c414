"""One framework's application for one scenario under uvicorn, on an inherited socket. Started by ``run.py``."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvicorn  # noqa: E402
from apps import builders  # noqa: E402


def main() -> None:
    """``serve.py FRAMEWORK SCENARIO FILE_DESCRIPTOR CORE``: serve until interrupted."""
    framework, scenario, descriptor, core = sys.argv[1:]
    if core != "any":
        os.sched_setaffinity(0, {int(core)})
    app = builders(framework)[scenario]()
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="error")
    with socket.socket(fileno=int(descriptor)) as listener, contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
