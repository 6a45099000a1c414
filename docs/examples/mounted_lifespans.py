"""Mounting: the mounted application's lifespan runs too, since it was asked for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from forzium import FastAPI, Request
from forzium.routing import run_mounted_lifespans


@asynccontextmanager
async def connected(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    yield {"database": "connected"}


reports = FastAPI(lifespan=connected)


@reports.get("/")
async def read(request: Request) -> str:
    return request.state.database


app = FastAPI()
app.mount("/reports", reports)
run_mounted_lifespans(app)
