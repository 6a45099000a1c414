"""``python -m shop``: run the shop on loopback under uvicorn until interrupted."""

import argparse
import socket

import uvicorn

from .app import app


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on `port`, or on any free one where that is taken."""
    try:
        return socket.create_server((host, port))
    except OSError:
        return socket.create_server((host, 0))


def main() -> None:
    """Parse the command line, say where the shop is, serve it."""
    parser = argparse.ArgumentParser(prog="shop", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port; any free one where taken (default: %(default)s)")
    options = parser.parse_args()
    with listen(options.host, options.port) as listener:
        url = "http://{}:{}".format(*listener.getsockname()[:2])
        print(f"shop:  {url}/products\ndocs:  {url}/docs\nstop:  Ctrl-C", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="info")).run(sockets=[listener])


if __name__ == "__main__":
    main()
