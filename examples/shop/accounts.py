"""Accounts: open one, log in, ask who one is."""

import sqlite3
from typing import Annotated

from forzium import APIRouter, Depends, HTTPException, Request, status
from forzium.security import OAuth2PasswordRequestForm

from .database import Database
from .models import Account, AccountIn, Token
from .security import CurrentAccount, check_password, hash_password, issue_token

router = APIRouter(tags=["accounts"])


@router.post("/accounts", status_code=status.HTTP_201_CREATED)
def open_account(account: AccountIn, database: Database) -> Account:
    """Open an account."""
    try:
        database.execute("insert into accounts values (?, ?)", (account.name, hash_password(account.password)))
    except sqlite3.IntegrityError:
        raise HTTPException(status.HTTP_409_CONFLICT, "That name is taken") from None
    return Account(name=account.name)


@router.post("/token")
def log_in(form: Annotated[OAuth2PasswordRequestForm, Depends()], request: Request, database: Database) -> Token:
    """Trade name and password for an access token."""
    if not check_password(database, form.username, form.password):
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED, "Wrong name or password", headers={"WWW-Authenticate": "Bearer"}
        )
    settings = request.app.state.settings
    return Token(access_token=issue_token(settings, form.username), expires_in=settings.token_seconds)


@router.get("/accounts/me")
async def who_am_i(account: CurrentAccount) -> Account:
    """The account that the token belongs to."""
    return Account(name=account)
