"""Responses: a model that says what is answered, and ways to say more."""

from decimal import Decimal

from pydantic import BaseModel

from forzium import FastAPI, Response
from forzium.responses import PlainTextResponse

app = FastAPI()


class Product(BaseModel):
    name: str
    price: Decimal


class StoredProduct(Product):
    supplier: str


@app.get("/products", response_model=list[Product])
async def read_products() -> list[StoredProduct]:
    return [StoredProduct(name="tea", price=Decimal("4.50"), supplier="not for the public")]


@app.post("/products", status_code=201)
async def create_product(product: Product, response: Response) -> Product:
    response.headers["location"] = f"/products/{product.name}"
    return product


@app.get("/health", response_class=PlainTextResponse)
async def read_health() -> str:
    return "well"
