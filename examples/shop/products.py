"""Products: list, look at, add, and their pictures."""

import sqlite3
from typing import Annotated

from forzium import APIRouter, HTTPException, Path, Query, Request, Response, UploadFile, status

from .database import Connection, Database
from .models import LARGEST_ID, Product, ProductIn
from .security import CurrentAccount

router = APIRouter(prefix="/products", tags=["products"])

ProductId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The product's number")]
PICTURE_TYPES = ("image/png", "image/jpeg", "image/webp")


def find(database: Connection, product_id: int) -> sqlite3.Row:
    """The product's row. Raises HTTPException 404 where there is none."""
    row: sqlite3.Row | None = database.execute("select * from products where id = ?", (product_id,)).fetchone()
    if row is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no product {product_id}")
    return row


def as_product(row: sqlite3.Row) -> Product:
    """A row as the model that is sent."""
    return Product(
        **{name: row[name] for name in ("id", "name", "price", "stock")}, has_picture=row["picture"] is not None
    )


@router.get("")
def list_products(
    database: Database,
    search: Annotated[str, Query(max_length=80)] = "",
    in_stock: bool = False,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0, le=LARGEST_ID)] = 0,
) -> list[Product]:
    """Products by name, those whose name contains `search`."""
    rows = database.execute(
        "select * from products where instr(name, ?) and stock >= ? order by name limit ? offset ?",
        (search, int(in_stock), limit, offset),
    )
    return [as_product(row) for row in rows]


@router.get("/{product_id}")
def read_product(product_id: ProductId, database: Database) -> Product:
    """One product."""
    return as_product(find(database, product_id))


@router.post("", status_code=status.HTTP_201_CREATED)
def add_product(
    product: ProductIn, account: CurrentAccount, database: Database, request: Request, response: Response
) -> Product:
    """Add a product."""
    try:
        cursor = database.execute(
            "insert into products (name, price, stock) values (?, ?, ?)",
            (product.name, str(product.price), product.stock),
        )
    except sqlite3.IntegrityError:
        raise HTTPException(status.HTTP_409_CONFLICT, f"There is a product named {product.name!r}") from None
    assert cursor.lastrowid is not None
    response.headers["location"] = request.app.url_path_for("read_product", product_id=cursor.lastrowid)
    return as_product(find(database, cursor.lastrowid))


@router.put("/{product_id}/picture", status_code=status.HTTP_204_NO_CONTENT)
def upload_picture(
    product_id: ProductId, picture: UploadFile, account: CurrentAccount, database: Database, request: Request
) -> None:
    """Give a product its picture: PNG, JPEG or WebP."""
    find(database, product_id)
    if picture.content_type not in PICTURE_TYPES:
        raise HTTPException(status.HTTP_415_UNSUPPORTED_MEDIA_TYPE, f"A picture is one of {', '.join(PICTURE_TYPES)}")
    data = picture.file.read(request.app.state.settings.max_picture + 1)
    if len(data) > request.app.state.settings.max_picture:
        raise HTTPException(status.HTTP_413_CONTENT_TOO_LARGE, "The picture is too large")
    database.execute(
        "update products set picture = ?, picture_type = ? where id = ?", (data, picture.content_type, product_id)
    )


@router.get("/{product_id}/picture", response_class=Response)
def read_picture(product_id: ProductId, database: Database) -> Response:
    """A product's picture."""
    row = find(database, product_id)
    if row["picture"] is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"Product {product_id} has no picture")
    return Response(row["picture"], media_type=row["picture_type"])
