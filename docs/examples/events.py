"""Server-sent events: an endpoint that yields, watched by a browser's EventSource."""

from collections.abc import AsyncIterator

from pydantic import BaseModel

from forzium import FastAPI
from forzium.sse import EventSourceResponse, ServerSentEvent

app = FastAPI()


class Progress(BaseModel):
    done: int
    of: int


@app.get("/progress", response_class=EventSourceResponse)
async def read_progress() -> AsyncIterator[Progress]:
    for done in range(3):
        yield Progress(done=done, of=2)


@app.get("/named", response_class=EventSourceResponse)
async def read_named() -> AsyncIterator[ServerSentEvent]:
    yield ServerSentEvent(comment="begin", retry=2000)
    yield ServerSentEvent(data={"done": 2}, event="finished", id="2")


@app.get("/lines")
async def read_lines() -> AsyncIterator[Progress]:
    yield Progress(done=1, of=1)
