"""Reading a plan: what happens on the way of a request, without making it."""

from forzium import Depends, FastAPI, explain

app = FastAPI()


async def settings() -> dict[str, int]:
    return {"limit": 10}


@app.get("/items/{item_id}")
def read_item(item_id: int, q: str = "", settings: dict[str, int] = Depends(settings)):
    return {"item_id": item_id}


plan = explain(app, "GET", "/items/1")
assert plan.native
assert [stage["stage"] for stage in plan.stages] == ["solve", "call", "serialize", "send"]
