"""What the shop takes from its environment.

Not for: anything a request may change.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Settings of one running shop.

    Attributes:
        database: The SQLite file, made on first start. Default is ``shop.sqlite3`` in the current directory.
        secret: Signs access tokens. Default is a new one each start, so tokens end with the process.
        token_seconds: How long an access token is good for. Default is 3600.
        max_picture: Largest product picture, in bytes. Default is 1 MiB.
        origins: Web origins that may call the shop from a browser. Default is a front end on localhost:3000.
    """

    database: Path = Path("shop.sqlite3")
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    token_seconds: int = 3600
    max_picture: int = 1 << 20
    origins: tuple[str, ...] = ("http://localhost:3000",)

    @classmethod
    def from_environment(cls) -> Settings:
        """Read ``SHOP_DATABASE`` and ``SHOP_SECRET``; what is not set keeps its default."""
        settings = cls()
        if database := os.environ.get("SHOP_DATABASE"):
            settings = replace(settings, database=Path(database))
        if secret := os.environ.get("SHOP_SECRET"):
            settings = replace(settings, secret=secret.encode())
        return settings
