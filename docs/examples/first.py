"""The first application: typed parameters, a model in and out."""

from typing import Annotated

from pydantic import BaseModel

from forzium import FastAPI, Query

app = FastAPI(title="First")


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


@app.get("/items/{item_id}")
async def read_item(item_id: int, q: Annotated[str | None, Query(max_length=20)] = None):
    return {"item_id": item_id, "q": q}


@app.post("/items", status_code=201)
async def create_item(item: Item) -> Item:
    return item
