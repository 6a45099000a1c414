"""How much memory a large upload takes: a multipart body in chunks, through the ASGI callable, to a spooled file.

    python benches/python/upload_memory.py [--framework forzium] [--mebibytes 1024]

The body is made as it is asked for, so that what the process holds is the framework's. Printed are the greatest resident
size above that before the request, and the time it took. Linux and macOS.
"""

import argparse
import asyncio
import importlib
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

CHUNK = 64 * 1024
"""Bytes in a message, as uvicorn hands them over."""
HEAD = b'--BND\r\ncontent-disposition: form-data; name="file"; filename="large.bin"\r\n\r\n'
END = b"\r\n--BND--\r\n"


def peak() -> float:
    """The greatest resident size so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024)


def application(framework: str) -> Any:
    """An endpoint that takes a file and says how large it is."""
    package: Any = importlib.import_module(framework)
    app = package.FastAPI(openapi_url=None)

    @app.post("/")
    async def take(file: package.UploadFile) -> Any:
        return {"size": file.size}

    return app


def messages(size: int) -> Iterator[dict[str, Any]]:
    """The body, each chunk an object of its own."""
    yield {"type": "http.request", "body": HEAD, "more_body": True}
    for at in range(0, size, CHUNK):
        yield {"type": "http.request", "body": bytes(min(CHUNK, size - at)), "more_body": True}
    yield {"type": "http.request", "body": END}


async def upload(app: Any, size: int) -> bytes:
    """Make the request; the body of the answer."""
    rest = messages(size)
    answer = b""

    async def receive() -> dict[str, Any]:
        return next(rest)

    async def send(message: dict[str, Any]) -> None:
        nonlocal answer
        answer += message.get("body", b"")

    headers = [(b"content-type", b"multipart/form-data; boundary=BND")]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "root_path": "", "headers": headers}
    await app(scope, receive, send)
    return answer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--framework", default="forzium", choices=["forzium", "fastapi"])
    parser.add_argument("--mebibytes", type=int, default=1024)
    options = parser.parse_args()
    size = options.mebibytes * 1024 * 1024
    app = application(options.framework)
    asyncio.run(upload(app, 2 * 1024 * 1024))  # what is imported and started once
    before, began = peak(), time.perf_counter()
    answer = asyncio.run(upload(app, size))
    seconds = time.perf_counter() - began
    assert answer == b'{"size":%d}' % size, answer
    print(
        f"{options.framework}: {options.mebibytes} MiB, {peak() - before:.1f} MiB above {before:.0f}, {seconds:.1f} s"
    )


if __name__ == "__main__":
    main()
