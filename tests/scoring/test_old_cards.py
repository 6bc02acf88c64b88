"""GPUs below compute capability 8.0: auto falls back and says why, a named backend ends with the reason."""

from __future__ import annotations

import logging

import pytest
import torch

from srfast.errors import RunError
from srfast.ops import cuda, native
from srfast.scoring.backends import choice as registry
from srfast.scoring.network import load_network


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch):
    """A machine whose GPU has this capability, with every backend installed."""

    def pretend(capability: tuple[int, int]) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Tesla T4")
        monkeypatch.setattr(native, "build_info", lambda: {"cuda": True})
        monkeypatch.setattr(registry, "installed", lambda name: not name.startswith("onnx"))
        registry._say.cache_clear()

    return pretend


def test_auto_falls_back_and_says_why_once(card, caplog: pytest.LogCaptureFixture) -> None:
    card((7, 5))
    with caplog.at_level(logging.WARNING, "srfast"):
        for _ in range(2):
            assert registry.choose("auto", "auto", load_network("srcnn", 2)) == ("torch", "cuda")
    [record] = caplog.records
    assert "Tesla T4 has compute capability 7.5, and 8.0 is the least" in record.getMessage()


@pytest.mark.parametrize("backend", ["native", "triton"])
def test_a_named_backend_ends_with_the_reason(card, backend: str) -> None:
    card((7, 5))
    with pytest.raises(RunError, match=r"compute capability 7\.5"):
        registry.choose(backend, "cuda", load_network("srcnn", 2))


@pytest.mark.parametrize("capability", [(8, 0), (9, 0), (12, 0)])
def test_newer_cards_take_triton(card, capability: tuple[int, int]) -> None:
    card(capability)
    assert cuda.unsupported() is None
    assert registry.choose("auto", "cuda", load_network("srcnn", 2)) == ("triton", "cuda")
