"""Before Python 3.12 an error was handed over without its traceback, so that nobody could log where it was raised."""

import traceback
from typing import Any

from conformance.harness import Request, exchange

from forzium import FastAPI
from forzium.authentication import AuthenticationBackend, AuthenticationError
from forzium.middleware.authentication import AuthenticationMiddleware
from forzium.responses import PlainTextResponse


class Refusing(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> Any:
        raise AuthenticationError("nobody")


def innermost(connection: Any, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(traceback.extract_tb(error.__traceback__)[-1].name)


def test_what_answers_a_refused_authentication_sees_where_it_was_refused():
    app = FastAPI()
    app.add_middleware(AuthenticationMiddleware, backend=Refusing(), on_error=innermost)
    assert exchange(app, Request("/")).body == b"authenticate"
