"""A dependency that the application makes once: a pool of connections, and on it a connection for each request."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from forzium import Depends, FastAPI

app = FastAPI()
log: list[str] = []


class Pool:
    def __init__(self, size: int = 5) -> None:
        self.free = [f"connection {number}" for number in range(size)]


async def pool() -> AsyncIterator[Pool]:
    log.append("pool opened")
    try:
        yield Pool()
    finally:
        log.append("pool closed")


def connection(pool: Annotated[Pool, Depends(pool, scope="lifespan")]) -> Iterator[str]:
    taken = pool.free.pop()
    try:
        yield taken
    finally:
        pool.free.append(taken)


@app.get("/me")
async def me(connection: Annotated[str, Depends(connection)]) -> dict[str, str]:
    return {"through": connection}
