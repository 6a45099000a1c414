"""What goes over the wire."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

LARGEST_ID = 2**63 - 1
"""What SQLite holds in an INTEGER at most."""

Price = Annotated[Decimal, Field(gt=0, max_digits=8, decimal_places=2)]


class ProductIn(BaseModel):
    """A product as a client describes it."""

    name: str = Field(min_length=1, max_length=80, examples=["teapot"])
    price: Price
    stock: int = Field(default=0, ge=0, le=1_000_000)


class Product(ProductIn):
    """A product as the shop knows it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    has_picture: bool = False


class OrderLine(BaseModel):
    """So many of one product."""

    product_id: int = Field(ge=1, le=LARGEST_ID)
    quantity: int = Field(gt=0, le=1_000)


class OrderIn(BaseModel):
    """An order as a client places it."""

    lines: list[OrderLine] = Field(min_length=1, max_length=50)

    @field_validator("lines")
    @classmethod
    def one_line_for_a_product(cls, lines: list[OrderLine]) -> list[OrderLine]:
        """Refuse a product that stands in two lines."""
        if len({line.product_id for line in lines}) < len(lines):
            raise ValueError("each product may stand in one line only")
        return lines


class Order(OrderIn):
    """An order as the shop keeps it."""

    id: int
    account: str
    placed_at: datetime
    confirmed: bool
    total: Decimal


class AccountIn(BaseModel):
    """A new account."""

    name: str = Field(min_length=2, max_length=40, pattern=r"^[a-z0-9_.-]+$")
    password: str = Field(min_length=8, max_length=128)


class Account(BaseModel):
    """An account, without what only its owner knows."""

    name: str


class Token(BaseModel):
    """What a password login answers (RFC 6749, 5.1)."""

    access_token: str
    token_type: str = "bearer"
    expires_in: int
