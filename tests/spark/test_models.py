"""A worker loads a model once, and keeps as many as it may."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from spladelake.spark.encode.models import ModelCache


@dataclass(frozen=True)
class Spec:
    name: str

    def load(self, *, threads: int | None, device: str | None) -> list[str | None]:
        return [self.name, device]


def test_a_model_is_loaded_once_and_the_oldest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLADELAKE_DEVICE", "cpu")
    cache: ModelCache[list[str | None]] = ModelCache(capacity=2)
    first, loaded_now = cache.get(Spec("a"))
    assert (first, loaded_now) == (["a", "cpu"], True)
    again, loaded_now = cache.get(Spec("a"))  # an equal spec, as every task unpickles its own
    assert again is first
    assert not loaded_now
    assert [cache.get(Spec(name))[1] for name in ("b", "a", "c", "b", "a")] == [True, False, True, False, True]
