"""A service with request ids, a time-out, and sessions that the server keeps."""

import logging
import tempfile

import anyio

from forzium import FastAPI, Request
from forzium.middleware import Middleware
from forzium.middleware.request_id import RequestIdFilter, RequestIdMiddleware
from forzium.middleware.server_sessions import ServerSession, ServerSessionMiddleware
from forzium.middleware.timeout import TimeoutMiddleware
from forzium.session_stores import FileStore

handler = logging.StreamHandler()
handler.addFilter(RequestIdFilter())
handler.setFormatter(logging.Formatter("%(levelname)s %(request_id)s %(message)s"))
log = logging.getLogger("service")
log.addHandler(handler)

sessions = FileStore(tempfile.mkdtemp())  # a service of its own would name a directory that lasts

app = FastAPI(
    middleware=[
        Middleware(RequestIdMiddleware, trust_incoming=True),
        Middleware(TimeoutMiddleware, seconds=0.2, exempt=["/reports/*"]),
        Middleware(ServerSessionMiddleware, store=sessions, secret_key="from the environment", https_only=True),
    ]
)


@app.post("/login")
async def login(request: Request, name: str) -> None:
    session = request.session
    assert isinstance(session, ServerSession)
    session.regenerate()  # a new id: nobody else may know it
    session["name"] = name
    log.warning("%s has logged in", name)


@app.get("/me")
async def me(request: Request) -> str:
    return request.session.get("name", "nobody")


@app.get("/slow")
async def slow() -> None:
    await anyio.sleep(10)


@app.get("/reports/yearly")
async def yearly() -> str:
    await anyio.sleep(0.3)
    return "long"
