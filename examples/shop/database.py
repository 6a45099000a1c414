"""The SQLite file and the connection each request works on.

Not for: SQL of the shop's trade, which stands beside the endpoints that need it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

from forzium import Depends, Request

Connection = sqlite3.Connection

SCHEMA = Path(__file__).with_name("schema.sql")


def connect(path: Path) -> Connection:
    """Open the shop's file. The connection may travel between worker threads; a request uses it in one at a time."""
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
    connection.row_factory = sqlite3.Row
    connection.execute("pragma foreign_keys = on")
    return connection


def prepare(path: Path) -> None:
    """Make the tables, and a few products where there are none."""
    with closing(connect(path)) as connection:
        connection.executescript(SCHEMA.read_text(encoding="utf-8"))
        if connection.execute("select count(*) from products").fetchone()[0] == 0:
            wares = [("teapot", "24.50", 12), ("cup", "6.00", 80), ("tea, green, 100 g", "8.20", 40)]
            connection.executemany("insert into products (name, price, stock) values (?, ?, ?)", wares)


def transaction(request: Request) -> Iterator[Connection]:
    """Give a connection in a transaction: committed if the endpoint returns, rolled back if it raises."""
    with closing(connect(request.app.state.settings.database)) as connection:
        connection.execute("begin immediate" if request.method != "GET" else "begin")
        try:
            yield connection
        except BaseException:
            connection.execute("rollback")
            raise
        connection.execute("commit")


# Function scope: the transaction ends before the answer is sent, so a client never hears of what was not committed.
Database = Annotated[Connection, Depends(transaction, scope="function")]
