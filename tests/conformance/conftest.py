"""Fixtures of the conformance tests: see ``harness.py`` for how to write one."""

from __future__ import annotations

import pytest

from conformance.harness import Framework, frameworks


@pytest.fixture(params=[0, 1], ids=["fastapi", "forzium"])
def fw(request: pytest.FixtureRequest) -> Framework:
    """Each framework in turn, for tests that state a fact instead of comparing two answers."""
    return frameworks()[request.param]
