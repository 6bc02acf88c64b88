"""GPUs and drivers on which the kernels do not run: auto falls back and says why, a named backend ends with it."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import torch

from srfast.errors import RunError
from srfast.ops import cuda, native
from srfast.scoring.backends import choice as registry
from srfast.scoring.network import load_network


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch):
    """A machine whose GPU has this capability, with every backend installed; what the build's kernels and Triton's
    say when they are tried there."""

    def pretend(
        capability: tuple[int, int], probed: tuple[int, int, str] = (13000, 13000, ""), triton: str | None = None
    ) -> None:
        module = SimpleNamespace(cuda_architectures="80,90", probe_cuda=lambda device: probed)
        monkeypatch.setattr(native, "compiled", lambda: module)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(registry, "_triton_fails", lambda: triton)
        cuda._refusal.cache_clear()
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Tesla T4")
        monkeypatch.setattr(native, "build_info", lambda: {"cuda": True})
        monkeypatch.setattr(registry, "installed", lambda name: not name.startswith("onnx"))
        registry.say_once.cache_clear()

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


OLD_DRIVER = (12040, 13000, "cudaErrorInsufficientDriver")
NO_IMAGE = (13000, 13000, "cudaErrorNoKernelImageForDevice")


@pytest.mark.parametrize(
    ("probed", "words"),
    [
        (OLD_DRIVER, "the driver runs CUDA 12.4 at most, and this build is made with 13.0"),
        (NO_IMAGE, "its kernels do not load: cudaErrorNoKernelImageForDevice (built for 80,90)"),
        ((0, 13000, "cudaErrorInsufficientDriver"), "there is no CUDA driver"),
    ],
)
def test_kernels_that_cannot_run_are_not_launched(card, probed, words: str, caplog: pytest.LogCaptureFixture) -> None:
    """They failed at the first launch, in the middle of a run. Triton scores all the same, and torch down-samples."""
    card((9, 0), probed)
    with caplog.at_level(logging.WARNING, "srfast"):
        for _ in range(2):
            assert registry.choose("auto", "auto", load_network("srcnn", 2)) == ("triton", "cuda")
    [record] = caplog.records
    assert words in record.getMessage()
    assert not cuda._runs(torch.device("cuda", 0))
    with pytest.raises(RunError) as raised:
        registry.choose("native", "cuda", load_network("srcnn", 2))
    assert words in str(raised.value)


def test_a_newer_minor_version_of_the_toolkit_is_no_obstacle(card) -> None:
    card((9, 0), (13000, 13020, ""))
    assert cuda.refusal() is None
    assert registry.unusable("native", "cuda", load_network("srcnn", 2)) is None


def test_nothing_runs_but_torch(card, caplog: pytest.LogCaptureFixture) -> None:
    card((9, 0), NO_IMAGE, "Triton runs no kernel here: RuntimeError: Failed to find C compiler")
    with caplog.at_level(logging.WARNING, "srfast"):
        assert registry.choose("auto", "auto", load_network("srcnn", 2)) == ("torch", "cuda")
    [record] = caplog.records
    for words in ("torch scores on the GPU, slower", "Failed to find C compiler", "cudaErrorNoKernelImageForDevice"):
        assert words in record.getMessage()


@pytest.mark.parametrize("capability", [(8, 0), (9, 0), (12, 0)])
def test_newer_cards_take_triton(card, capability: tuple[int, int]) -> None:
    card(capability)
    assert cuda.unsupported() is None
    assert registry.choose("auto", "cuda", load_network("srcnn", 2)) == ("triton", "cuda")
