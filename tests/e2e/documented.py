"""An application that serves its own documentation pages, and is the authorization server its document names.

Uvicorn imports it: ``documented:app``, or ``documented:mounted``, which has it below another path.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from pydantic import BaseModel

from forzium import Depends, FastAPI, Form
from forzium.openapi.assets import serve_docs
from forzium.responses import RedirectResponse
from forzium.security import OAuth2AuthorizationCodeBearer

TOKEN = "the token of this test"

app = FastAPI(
    title="Documented", swagger_ui_init_oauth={"clientId": "the-page", "usePkceWithAuthorizationCodeGrant": True}
)
bearer = OAuth2AuthorizationCodeBearer(authorizationUrl="authorize", tokenUrl="token")


class Item(BaseModel):
    name: str
    tags: list[str] = []


@app.post("/items/{number}", status_code=201)
async def create_item(number: int, item: Item, q: str = "none") -> dict[str, object]:
    """Make an item."""
    return {"number": number, "q": q, "name": item.name}


@app.get("/secret")
async def read_secret(token: Annotated[str, Depends(bearer)]) -> dict[str, str]:
    return {"token": token}


@app.get("/authorize", include_in_schema=False)
async def authorize(redirect_uri: str, state: str, client_id: str, code_challenge: str) -> RedirectResponse:
    """Send the user back at once, as a server does that asks nothing."""
    return RedirectResponse(f"{redirect_uri}?{urlencode({'code': f'code-for-{client_id}', 'state': state})}", 303)


@app.post("/token", include_in_schema=False)
async def token(code: Annotated[str, Form()], code_verifier: Annotated[str, Form()]) -> dict[str, str]:
    assert code == "code-for-the-page"
    return {"access_token": TOKEN, "token_type": "bearer"}


serve_docs(app)

mounted = FastAPI(openapi_url=None)
mounted.mount("/below/this", app)
