"""forzium beside FastAPI: a path of an existing application is moved over, the rest stays where it is."""

from fastapi import FastAPI

import forzium

fast = forzium.FastAPI()


@fast.get("/items/{item_id}")
async def read_item(item_id: int):
    return {"item_id": item_id}


app = FastAPI()
app.mount("/fast", fast)


@app.get("/")
async def root():
    return {"served by": "fastapi"}
