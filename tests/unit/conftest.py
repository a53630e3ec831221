"""Settings of the tests that need no Spark."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def small_models(one_thread_of_torch: None) -> None:
    """All models of these tests are small."""
