"""What type checkers must see: checked by ``mypy --strict tests/typing``, never run."""

from typing import Annotated, assert_type

from forzium import APIRouter, Depends, FastAPI, Request, Response, WebSocket
from forzium.responses import JSONResponse
from forzium.testclient import TestClient

app = FastAPI(title="Typed")
router = APIRouter(prefix="/items")


async def count(limit: int = 10) -> int:
    return limit


@app.get("/items/{item_id}", tags=["items"], status_code=200)
async def read_item(item_id: int, limit: Annotated[int, Depends(count)]) -> dict[str, int]:
    return {"item_id": item_id, "limit": limit}


@router.post("/")
def create_item(name: str) -> str:
    return name


@app.api_route("/either", methods=["GET", "POST"])
def either(name: str) -> str:
    return name


@app.websocket("/ws")
async def talk(websocket: WebSocket) -> None:
    await websocket.accept()


@app.exception_handler(ValueError)
async def refuse(request: Request, exc: ValueError) -> Response:
    return JSONResponse({"detail": str(exc)}, status_code=400)


app.include_router(router)

assert_type(create_item("x"), str)
assert_type(either("x"), str)
assert_type(TestClient(app).get("/").status_code, int)


async def decorated_functions_keep_their_types() -> None:
    assert_type(await read_item(1, 2), dict[str, int])
