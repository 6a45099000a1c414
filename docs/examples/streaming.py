"""Streaming: a response made of chunks, each sent when it is ready."""

from collections.abc import AsyncIterator

from forzium import FastAPI
from forzium.responses import StreamingResponse

app = FastAPI()


async def rows() -> AsyncIterator[str]:
    for number in range(3):
        yield f"row {number}\n"


@app.get("/rows")
async def read_rows() -> StreamingResponse:
    return StreamingResponse(rows(), media_type="text/plain")
