"""The model that the encoder's tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from spladelake.encoder import SpladeEncoder


@pytest.fixture(scope="session")
def tiny() -> SpladeEncoder:
    """splade-tiny as this package encodes it; read it, do not change it."""
    from spladelake.encoder import SpladeEncoder  # torch, which not every test of this room needs

    return SpladeEncoder.load("splade-tiny", device="cpu")
