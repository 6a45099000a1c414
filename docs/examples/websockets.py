"""WebSockets: a room whose members hear each other."""

from typing import Annotated

from forzium import Depends, FastAPI, Header, WebSocket, WebSocketException

app = FastAPI()
members: set[WebSocket] = set()


async def name(x_token: Annotated[str | None, Header()] = None) -> str:
    if x_token is None:
        raise WebSocketException(code=1008, reason="no token")
    return x_token.title()


@app.websocket("/rooms/{room_id}")
async def room(websocket: WebSocket, room_id: int, name: Annotated[str, Depends(name)]) -> None:
    await websocket.accept()
    members.add(websocket)
    try:
        async for text in websocket.iter_text():
            for member in members:
                await member.send_json({"room": room_id, "from": name, "text": text})
    finally:
        members.discard(websocket)
