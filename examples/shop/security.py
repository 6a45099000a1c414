"""Passwords, access tokens, and the dependency that tells who is calling.

Standard library only: scrypt for passwords, an HMAC over name and expiry for tokens.
"""

import base64
import binascii
import functools
import hashlib
import hmac
import os
import time
from typing import Annotated

from forzium import Depends, HTTPException, Request, status
from forzium.security import OAuth2PasswordBearer

from .database import Connection, Database
from .settings import Settings

bearer = OAuth2PasswordBearer(tokenUrl="token")


def hash_password(password: str, salt: bytes | None = None) -> str:
    """Salt and hash a password with scrypt (n = 2**14, r = 8, p = 1: about 50 ms and 16 MiB)."""
    salt = salt or os.urandom(16)
    key = hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)
    return f"{salt.hex()}${key.hex()}"


def password_matches(password: str, stored: str) -> bool:
    """Whether `password` is the one that was hashed, compared in constant time."""
    salt = bytes.fromhex(stored.partition("$")[0])
    return hmac.compare_digest(hash_password(password, salt), stored)


@functools.cache
def _nobody() -> str:
    """Compared with where the name is unknown, so that the time of an answer does not tell which names exist."""
    return hash_password("no account has this password")


def check_password(database: Connection, name: str, password: str) -> bool:
    """Whether that account exists and has that password."""
    row = database.execute("select password from accounts where name = ?", (name,)).fetchone()
    return password_matches(password, row["password"] if row else _nobody()) and row is not None


def _sign(secret: bytes, text: bytes) -> bytes:
    return hmac.digest(secret, text, "sha256")


def issue_token(settings: Settings, name: str) -> str:
    """An access token for `name`, good for `Settings.token_seconds`."""
    text = f"{name} {int(time.time()) + settings.token_seconds}".encode()
    return base64.urlsafe_b64encode(_sign(settings.secret, text) + text).decode()


def read_token(settings: Settings, token: str) -> str | None:
    """The name a token was issued for, or None if it is not ours or too old."""
    try:
        raw = base64.urlsafe_b64decode(token.encode())
    except (binascii.Error, ValueError):
        return None
    signature, text = raw[:32], raw[32:]
    if not hmac.compare_digest(signature, _sign(settings.secret, text)):
        return None
    name, _, expires = text.decode().partition(" ")
    return name if int(expires) >= time.time() else None


def current_account(request: Request, database: Database, token: Annotated[str, Depends(bearer)]) -> str:
    """The caller's account name; 401 where the token is missing, forged, expired or orphaned."""
    name = read_token(request.app.state.settings, token)
    if name and database.execute("select 1 from accounts where name = ?", (name,)).fetchone():
        return name
    raise HTTPException(status.HTTP_401_UNAUTHORIZED, "The token is not valid", headers={"WWW-Authenticate": "Bearer"})


CurrentAccount = Annotated[str, Depends(current_account)]
