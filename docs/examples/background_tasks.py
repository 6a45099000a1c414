"""Background tasks: a mail after an order, and a note of every attempt, whatever became of it."""

from typing import Annotated

from forzium import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException

app = FastAPI()
orders = APIRouter(background_always=True)
mails: list[str] = []
attempts: list[str] = []


def noted(item: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(attempts.append, item)
    return item


@orders.post("/orders/{item}")
async def order(item: Annotated[str, Depends(noted)]) -> str:
    if item != "tea":
        raise HTTPException(404, f"There is no {item}")
    return item


@app.post("/mails/{address}")
async def send_mail(address: str, tasks: BackgroundTasks) -> None:
    tasks.add_task(mails.append, address)
    if "@" not in address:
        raise HTTPException(422, "Not an address")


app.include_router(orders)
