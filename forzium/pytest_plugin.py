"""Fixtures for pytest: a test client and an asynchronous one, for the application that an `app` fixture gives.

Layer: top. Switched on by `pytest_plugins = ["forzium.pytest_plugin"]` in a `conftest.py`, or by
`-p forzium.pytest_plugin`. It is no entry point: pytest would load it into every run, and rewrite the assertions of the
whole package, whose messages programs may look at.
Not for: making the application; tests and databases differ too much for that.

The asynchronous client is a fixture of anyio's own plugin, which comes with anyio: it needs tests marked
`@pytest.mark.anyio`, and lives in their event loop.
"""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from forzium.testclient import AsyncTestClient, TestClient

__all__ = ["async_client", "client"]


@pytest.fixture
def client(app: Any) -> "Iterator[TestClient]":
    """A `TestClient` of the `app` fixture's application, within its lifespan."""
    from forzium.testclient import TestClient

    with TestClient(app) as client:
        yield client


@pytest.fixture
async def async_client(app: Any, anyio_backend: Any) -> "AsyncIterator[AsyncTestClient]":
    """An `AsyncTestClient` of the `app` fixture's application, within its lifespan, in the event loop of the test."""
    from forzium.testclient import AsyncTestClient

    async with AsyncTestClient(app) as client:
        yield client
