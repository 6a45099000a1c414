"""Dependencies: one with `yield` that cleans up, one that stands on it, one that turns callers away."""

from collections.abc import Iterator
from typing import Annotated

from forzium import Depends, FastAPI, Header, HTTPException

app = FastAPI()
log: list[str] = []


def connection() -> Iterator[str]:
    log.append("opened")
    try:
        yield "a connection"
    finally:
        log.append("closed")


async def account(connection: Annotated[str, Depends(connection)], x_token: Annotated[str, Header()]) -> str:
    if x_token != "secret":
        raise HTTPException(401, "Wrong token")
    return "ann"


@app.get("/me")
async def me(connection: Annotated[str, Depends(connection)], account: Annotated[str, Depends(account)]):
    return {"account": account, "through": connection}
