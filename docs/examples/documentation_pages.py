"""Documentation pages that load nothing from other hosts, and a document with a logo."""

from typing import Any

from forzium import FastAPI
from forzium.openapi.assets import serve_docs

app = FastAPI(title="Shop", servers=[{"url": "https://shop.example"}])


@app.get("/products")
async def read_products() -> list[str]:
    return ["tea"]


document_of_routes = app.openapi


def document() -> dict[str, Any]:
    found = document_of_routes()
    found["info"]["x-logo"] = {"url": "/logo.png"}
    return found


app.openapi = document  # type: ignore[method-assign]
serve_docs(app)
