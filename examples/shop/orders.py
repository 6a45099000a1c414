"""Orders: place one, look at one's own. An order that cannot be filled leaves no trace."""

from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Annotated

from forzium import APIRouter, BackgroundTasks, HTTPException, Path, Request, status

from .database import Connection, Database, connect
from .models import LARGEST_ID, Order, OrderIn, OrderLine
from .products import find
from .security import CurrentAccount

router = APIRouter(prefix="/orders", tags=["orders"])


def load(database: Connection, order_id: int) -> Order:
    """An order with its lines."""
    order = database.execute("select * from orders where id = ?", (order_id,)).fetchone()
    lines = database.execute("select * from order_lines where order_id = ?", (order_id,)).fetchall()
    total = sum((Decimal(line["price"]) * line["quantity"] for line in lines), Decimal(0))
    return Order(**order, lines=[OrderLine.model_validate(dict(line)) for line in lines], total=total)


def confirm(database: FilePath, order_id: int) -> None:
    """What happens after the customer has the answer: mark the order confirmed (a real shop would send a mail)."""
    with closing(connect(database)) as connection:
        connection.execute("update orders set confirmed = 1 where id = ?", (order_id,))


@router.post("", status_code=status.HTTP_201_CREATED)
def place_order(
    order: OrderIn, account: CurrentAccount, database: Database, background: BackgroundTasks, request: Request
) -> Order:
    """Place an order: all lines or, where one cannot be had, none."""
    placed_at = datetime.now(UTC).isoformat()
    order_id = database.execute(
        "insert into orders (account, placed_at) values (?, ?) returning id", (account, placed_at)
    ).fetchone()["id"]
    for line in order.lines:
        product = find(database, line.product_id)
        if product["stock"] < line.quantity:
            raise HTTPException(status.HTTP_409_CONFLICT, f"Only {product['stock']} left of {product['name']!r}")
        database.execute("update products set stock = stock - ? where id = ?", (line.quantity, line.product_id))
        database.execute(
            "insert into order_lines values (?, ?, ?, ?)", (order_id, line.product_id, line.quantity, product["price"])
        )
    background.add_task(confirm, request.app.state.settings.database, order_id)
    return load(database, order_id)


@router.get("")
def list_orders(account: CurrentAccount, database: Database) -> list[Order]:
    """One's own orders, the newest first."""
    rows = database.execute("select id from orders where account = ? order by id desc", (account,)).fetchall()
    return [load(database, row["id"]) for row in rows]


@router.get("/{order_id}")
def read_order(
    order_id: Annotated[int, Path(ge=1, le=LARGEST_ID)], account: CurrentAccount, database: Database
) -> Order:
    """One of one's own orders."""
    if not database.execute("select 1 from orders where id = ? and account = ?", (order_id, account)).fetchone():
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"You have no order {order_id}")
    return load(database, order_id)
