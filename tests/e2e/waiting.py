"""An application whose endpoint waits until its client leaves, and says so on standard output."""

from collections.abc import AsyncIterator

import anyio

from forzium import Depends, FastAPI

app = FastAPI(openapi_url=None, cancel_on_disconnect=True)


async def resource(number: int) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await anyio.sleep(0.01)
        print(f"{number}: cleaned up", flush=True)


@app.get("/wait/{number}", dependencies=[Depends(resource)])
async def wait(number: int) -> None:
    print(f"{number}: waits", flush=True)
    try:
        await anyio.sleep_forever()
    except anyio.get_cancelled_exc_class():
        print(f"{number}: cancelled", flush=True)
        raise
