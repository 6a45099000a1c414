"""An endpoint that stops when its client has left."""

from collections.abc import AsyncIterator

import anyio

from forzium import APIRouter, Depends, FastAPI

app = FastAPI()
reports = APIRouter(cancel_on_disconnect=True)
rows: list[int] = []


async def cursor() -> AsyncIterator[list[int]]:
    try:
        yield rows
    finally:
        await anyio.sleep(0.001)  # clean-up may wait: it is shielded
        rows.clear()


@reports.get("/reports/{year}")
async def report(year: int, found: list[int] = Depends(cursor)) -> int:
    for month in range(12):
        await anyio.sleep(0.001)  # the query of a month: where it is cancelled
        found.append(month)
    return len(found)


@reports.post("/reports/{year}", cancel_on_disconnect=False)
async def store(year: int) -> None:
    """What has begun is finished, whoever waits for it."""


app.include_router(reports)
