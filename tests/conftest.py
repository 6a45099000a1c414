"""What every test shares: both event loops, and hypothesis profiles.

Tests marked ``@pytest.mark.anyio`` run once on asyncio and once on trio; a test that is about one of them overrides
the ``anyio_backend`` fixture. ``HYPOTHESIS_PROFILE=long`` searches longer than the default.
"""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", deadline=None, max_examples=5_000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loops that forzium must work on without noticing."""
    return str(request.param)


@pytest.fixture(scope="module", autouse=True)
def nothing_to_look_through_again() -> None:
    """Keep what earlier modules left from the collector: tests that call it would look through all of it each time."""
    gc.collect()
    gc.freeze()
