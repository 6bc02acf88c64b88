"""The kernel that says whether Triton works here, in the interpreter."""

from __future__ import annotations

import pytest
import torch
from srfast.kernels import probe

pytestmark = pytest.mark.interpret


def test_it_runs() -> None:
    assert probe.failure("cpu") is None


def test_what_fails_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __getitem__(self, grid: tuple[int, ...]):
            raise RuntimeError("Failed to find C compiler.\nPlease specify it")

    monkeypatch.setattr(probe, "probe_kernel", Broken())
    assert probe.failure("cpu") == "RuntimeError: Failed to find C compiler."
    monkeypatch.setattr(probe, "probe_kernel", {(1,): lambda out: None})
    assert probe.failure(torch.device("cpu")) == "a kernel ran and wrote nothing"
