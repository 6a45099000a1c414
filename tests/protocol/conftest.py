"""The event loops that drive an application: asyncio's own, uvloop, and trio."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

_LOOPS: list[Any] = ["asyncio", "trio"]
if importlib.util.find_spec("uvloop"):
    _LOOPS.append(pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"))


@pytest.fixture(params=_LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Every event loop that is installed."""
    return request.param
