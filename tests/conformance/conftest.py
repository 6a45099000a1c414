"""Fixtures of the conformance tests: see ``harness.py`` for how to write one."""

from __future__ import annotations

import fastapi.routing
import pytest

from conformance.harness import Framework, frameworks


@pytest.fixture(params=[0, 1], ids=["fastapi", "forzium"])
def fw(request: pytest.FixtureRequest) -> Framework:
    """Each framework in turn, for tests that state a fact instead of comparing two answers."""
    return frameworks()[request.param]


@pytest.fixture(autouse=True)
def remembered_places_forgotten() -> None:
    """FastAPI remembers where an endpoint stands by its `id`, which another one has after it is gone."""
    fastapi.routing._endpoint_context_cache.clear()
